// What Rust code does not do: moving the stack pointer far in one step, as C code without stack probes may, and a system call
// with the stack pointer where the caller wants it.
extern "C" {
// Writes a byte `frame` bytes below `low`, with the stack pointer there.
void write_below(char *low, long frame) {
    asm volatile(
        "mov %%rsp, %%r12\n\t"
        "mov %0, %%rsp\n\t"
        "sub %1, %%rsp\n\t"
        "movb $1, (%%rsp)\n\t"
        "mov %%r12, %%rsp"
        :
        : "r"(low), "r"(frame)
        : "r12", "memory");
}

// System call `number` with three arguments, made with the stack pointer at `low`.
long call_at(char *low, long number, long a, long b, long c) {
    long result;
    asm volatile(
        "mov %%rsp, %%r12\n\t"
        "mov %[low], %%rsp\n\t"
        "syscall\n\t"
        "mov %%r12, %%rsp"
        : "=a"(result)
        : "a"(number), "D"(a), "S"(b), "d"(c), [low] "r"(low)
        : "rcx", "r11", "r12", "memory");
    return result;
}
}
