// A library that uses weft inside and shows nothing of it.
#pragma once

/// Makes blocking calls park. True if they do.
bool quiet_start();

/// Runs `copies` of `body` side by side and waits for all of them.
void quiet_run(void (*body)(), int copies);
