// The measurements of peer.hpp with goroutines: on one processor, but for the wake-up of another thread.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	turns           = 4_000_000
	batch           = 1000
	batches         = 500
	lockPairs       = 20_000_000
	items           = 2_000_000
	sleepers        = 1_000_000
	sleepersBetween = 1000
	longestSleepMs  = 1000
	roundTrips      = 20_000
	warmUp          = 500
)

// CPU time of the process, all its threads included, in ns.
func cpuNs() float64 {
	const processCPU = 2
	var now syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processCPU, uintptr(unsafe.Pointer(&now)), 0); err != 0 {
		panic(err)
	}
	return float64(now.Nano())
}

func expect(right bool, what string) {
	if !right {
		fmt.Fprintln(os.Stderr, what)
		os.Exit(1)
	}
}

// Gosched keeps no strict order (each 61st turn begins with the other of two queues), so turns are counted, not laps.
func ring(members int) float64 {
	count, ended := 0, false
	var spent float64
	var all sync.WaitGroup
	all.Add(members)
	go func() {
		defer all.Done()
		for lap := 0; lap < 3; lap++ {
			count++
			runtime.Gosched()
		}
		before := count
		start := cpuNs()
		for count-before < turns {
			count++
			runtime.Gosched()
		}
		spent = (cpuNs() - start) / float64(count-before)
		ended = true
	}()
	own := make([]int, members)
	for i := 1; i < members; i++ {
		mine := &own[i]
		go func() {
			defer all.Done()
			for !ended {
				count++
				*mine++
				runtime.Gosched()
			}
		}()
	}
	all.Wait()
	for i := 1; i < members; i++ {
		expect(own[i] > turns/members/2, "a member of the ring has not had its turns")
	}
	return spent
}

func measure(times, operations int, once func()) float64 {
	once()
	start := cpuNs()
	for i := 0; i < times; i++ {
		once()
	}
	return (cpuNs() - start) / float64(times*operations)
}

func spawn() float64 {
	ran := 0
	ns := measure(batches, batch, func() {
		var all sync.WaitGroup
		all.Add(batch)
		for i := 0; i < batch; i++ {
			go func() {
				ran++
				all.Done()
			}()
		}
		all.Wait()
	})
	expect(ran == (batches+1)*batch, "a goroutine has not run")
	return ns
}

func mutex() float64 {
	var lock sync.Mutex
	inside := 0
	ns := measure(1, lockPairs, func() {
		for i := 0; i < lockPairs; i++ {
			lock.Lock()
			inside++
			lock.Unlock()
		}
	})
	expect(inside == 2*lockPairs, "a turn was lost")
	return ns
}

func through(channel chan int64) float64 {
	sum := make(chan int64)
	start := cpuNs()
	go func() {
		for i := int64(0); i < items; i++ {
			channel <- i
		}
		close(channel)
	}()
	go func() {
		got := int64(0)
		for item := range channel {
			got += item
		}
		sum <- got
	}()
	expect(<-sum == int64(items)*(items-1)/2, "an item was lost")
	return (cpuNs() - start) / items
}

func sleeps() float64 {
	random := rand.New(rand.NewSource(1))
	woken := 0
	var all sync.WaitGroup
	all.Add(sleepers)
	start := time.Now()
	for i := 1; i <= sleepers; i++ {
		span := time.Duration(random.Intn(longestSleepMs+1)) * time.Millisecond
		go func() {
			time.Sleep(span)
			woken++
			all.Done()
		}()
		if i%sleepersBetween == 0 {
			runtime.Gosched()
		}
	}
	all.Wait()
	spent := time.Since(start).Seconds()
	expect(woken == sleepers, "a sleeper has not woken")
	return spent
}

func wake() float64 {
	runtime.GOMAXPROCS(2)
	ping, pong, ns := make(chan struct{}), make(chan struct{}), make(chan float64)
	answered := 0
	go func() {
		runtime.LockOSThread()
		for range ping {
			answered++
			pong <- struct{}{}
		}
		close(pong)
	}()
	go func() {
		runtime.LockOSThread()
		var start time.Time
		for i := 0; i < warmUp+roundTrips; i++ {
			if i == warmUp {
				start = time.Now()
			}
			ping <- struct{}{}
			<-pong
		}
		spent := float64(time.Since(start).Nanoseconds()) / roundTrips
		close(ping)
		<-pong
		ns <- spent
	}()
	spent := <-ns
	expect(answered == warmUp+roundTrips, "a wake-up was lost")
	return spent
}

var measurements = []struct {
	name   string
	sample func() float64
}{
	{"yield_2", func() float64 { return ring(2) }},
	{"yield_100", func() float64 { return ring(100) }},
	{"yield_1000", func() float64 { return ring(1000) }},
	{"yield_10000", func() float64 { return ring(10_000) }},
	{"spawn", spawn},
	{"mutex", mutex},
	{"queue_128", func() float64 { return through(make(chan int64, 128)) }},
	{"queue_1", func() float64 { return through(make(chan int64, 1)) }},
	{"rendezvous", func() float64 { return through(make(chan int64)) }},
	{"sleeps", sleeps},
	{"wake", wake},
}

func main() {
	runtime.GOMAXPROCS(1)
	name := ""
	if len(os.Args) == 2 {
		name = os.Args[1]
	}
	if name == "version" {
		fmt.Println(runtime.Version())
		return
	}
	for _, m := range measurements {
		if name == "names" {
			fmt.Println(m.name)
		} else if name == m.name {
			fmt.Printf("%.3f\n", m.sample())
			return
		}
	}
	if name != "names" {
		fmt.Fprintf(os.Stderr, "usage: %s NAME, which is version, names or one of the names\n", os.Args[0])
		os.Exit(2)
	}
}
