/* A library with pthread keys, as libcrypto has them. */
#include <pthread.h>

int make_key(pthread_key_t* key, void (*destructor)(void*)) { return pthread_key_create(key, destructor) == 0; }
int drop_key(pthread_key_t key) { return pthread_key_delete(key) == 0; }
