// A library that opens others on its own: when it is asked to, and in its constructor the one that OPENER_OPENS names.
#include <dlfcn.h>
#include <stdlib.h>

static void *opened;

__attribute__((constructor)) static void construct() {
    const char *path = getenv("OPENER_OPENS");
    if (path) opened = dlopen(path, RTLD_NOW);
}

extern "C" {
void *opener_opened() { return opened; }
void *opener_open(const char *path) { return dlopen(path, RTLD_NOW); }
}
