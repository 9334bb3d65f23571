//! x86_64: the switch, the first entry, and the few registers that a body owns.
//!
//! A *suspended* stack. Below the caller's frame stands the address at which it goes on, and below that `switch` has put
//! what the ABI says a callee keeps. The saved stack pointer is the lowest word, and is 16-byte aligned:
//!
//! ```text
//!   high  +----------------------+
//!         | the caller's frame   |
//!         +----------------------+
//!    +56  | return address (rip) |  left through a register and an indirect jump, not `ret`
//!    +48  | rbp                  |
//!    +40  | rbx                  |
//!    +32  | r12                  |
//!    +24  | r13                  |
//!    +16  | r14                  |
//!     +8  | r15                  |
//!     +0  | x87 cw  |  mxcsr     |  <- Resume::sp
//!   low   +----------------------+
//! ```
//!
//! A *fresh* stack is made to look the same, with `first_entry` for the return address, so that `switch` knows no
//! difference:
//!
//! ```text
//!   high  +----------------------+
//!         | what the body runs   |  the closure, if it was placed here
//!         +----------------------+
//!         | 0, 0                 |  what a walk over frame pointers finds: the end
//!    +56  | first_entry          |
//!    +48  | rbp = 0              |
//!    +40  | rbx = entry function |
//!    +32  | r12 = its argument   |
//!         | r13 .. r15 = 0       |
//!     +0  | x87 cw  |  mxcsr     |  as the creator has them
//!   low   +----------------------+
//! ```
//!
//! A *preempted* stack is a suspended one: the signal handler runs on the body's stack, above it lies the kernel's
//! signal frame with every register, and the handler itself called `switch`.
//!
//! Rejected: leaving by `ret` (the return predictor holds another stack's addresses: 19 ns in place of 7 on Zen 3);
//! inline assembly that saves only what the compiler holds live (saves two or three stores of an operation that
//! `wrfsbase` dominates, and the saved frame would no longer be one layout that a debugger script can read);
//! keeping x87's and SSE's control words with the kernel's signal frame alone (a cooperative switch would leak a
//! changed rounding mode into its neighbour).

#![allow(unsafe_code, reason = "assembly: the switch and reads of the thread pointer")]

use crate::error::Unsupported;
use std::arch::{asm, naked_asm};
use std::mem::offset_of;

/// The bytes below the stack pointer that a function may use without moving it (System V ABI, x86_64, 3.2.2).
pub(crate) const RED_ZONE: usize = 128;

/// Words of glibc's `tcbhead_t`, which the ABI fixes because compiled code reads them: stack canary, pointer guard.
pub(crate) const CANARY_OFFSET: usize = 0x28;
/// See [`CANARY_OFFSET`].
pub(crate) const POINTER_GUARD_OFFSET: usize = 0x30;

/// The word by which code finds out on what body it runs, with one load and no call.
///
/// It lies in the 512 bytes of `tcbhead_t` (from 0x80) where glibc before 2.23 saved SSE registers and which stay
/// reserved "even if no longer used by glibc since programs, like AddressSanitizer, depend on the size". On a kernel
/// thread's own TCB it is 0, which is checked at start.
pub(crate) const TAG_OFFSET: usize = 0x100;

/// The word by which a kernel thread that this crate launched knows itself: the header of the body whose stack and TLS it has for
/// its own. Beside [`TAG_OFFSET`], which is 0 there, and from the same reserve.
pub(crate) const LAUNCHED_OFFSET: usize = 0x108;

/// Where a suspended stack is taken up again, and the TLS block that belongs to it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Resume {
    // `switch` knows these two by their offsets, 0 and 8.
    pub(crate) sp: *mut u8,
    pub(crate) fs: usize,
}

const _: () = assert!(offset_of!(Resume, sp) == 0 && offset_of!(Resume, fs) == 8);

/// What a suspended stack holds at its stack pointer: see the drawing above.
#[repr(C)]
pub(crate) struct SavedFrame {
    pub(crate) mxcsr: u32,
    pub(crate) x87_control: u16,
    pub(crate) unused: u16,
    pub(crate) r15: usize,
    pub(crate) r14: usize,
    pub(crate) r13: usize,
    pub(crate) r12: usize,
    pub(crate) rbx: usize,
    pub(crate) rbp: usize,
    pub(crate) rip: usize,
}

/// What a fresh stack holds: a suspended frame that resumes in `first_entry`.
#[repr(C)]
pub(crate) struct FirstFrame {
    saved: SavedFrame,
    end_of_chain: [usize; 2],
}

impl FirstFrame {
    /// Writes a frame below `top` which, switched to, calls `entry(argument)`; gives the stack pointer to switch to.
    ///
    /// # Safety
    ///
    /// `top` is 16-byte aligned, the `size_of::<FirstFrame>()` bytes below it are writable and in nobody's use, and
    /// `entry` never returns.
    pub(crate) unsafe fn write(
        top: *mut u8,
        entry: unsafe extern "C" fn(*mut u8) -> !,
        argument: *mut u8,
    ) -> *mut u8 {
        debug_assert!(top.addr().is_multiple_of(16));
        /// The lowest six bits of MXCSR: exceptions that have occurred. A new thread has seen none.
        const SEEN: u32 = 0x3f;
        let (mxcsr, x87_control) = float_control();
        let mxcsr = mxcsr & !SEEN;
        let frame = FirstFrame {
            saved: SavedFrame {
                mxcsr,
                x87_control,
                unused: 0,
                r15: 0,
                r14: 0,
                r13: 0,
                r12: argument.expose_provenance(),
                rbx: entry as *const () as usize,
                rbp: 0,
                rip: first_entry as *const () as usize + FIRST_ENTRY_NOP,
            },
            end_of_chain: [0; 2],
        };
        let at = top.wrapping_sub(size_of::<FirstFrame>()).cast::<FirstFrame>();
        // SAFETY: the caller vouches for the bytes below `top`; FirstFrame is 80 bytes, a multiple of 16, so `at` is
        // aligned for its words.
        unsafe { at.write(frame) };
        at.cast()
    }
}

/// This thread's MXCSR and x87 control word.
fn float_control() -> (u32, u16) {
    let (mut mxcsr, mut x87_control) = (0u32, 0u16);
    // SAFETY: the two instructions store 4 and 2 bytes to locals of that size and change nothing else.
    unsafe {
        asm!(
            "stmxcsr [{0}]",
            "fnstcw [{1}]",
            in(reg) &raw mut mxcsr,
            in(reg) &raw mut x87_control,
            options(nostack, preserves_flags),
        );
    }
    (mxcsr, x87_control)
}

/// Saves the running context in `from`, takes up `to`, runs `action(argument)` there (unless it is `None`), and goes
/// on where `to` was suspended. Returns when somebody switches to `from`.
///
/// A jump in place of a call: the processor predicts returns from a stack of its own, on which a call would leave an entry that no
/// `ret` takes off again, as the new side is entered by a jump. Every return on the new side would then be mispredicted by one
/// place, 4 ns for each function between here and the caller of a yield. Threads that wait were mostly suspended in the same
/// functions, so that with entries in balance they return where the processor expects it.
///
/// # Safety
///
/// As [`crate::switch`], whose contract this carries out.
#[inline(always)]
pub(crate) unsafe fn switch(
    from: *mut Resume,
    to: *const Resume,
    action: Option<unsafe extern "C" fn(*mut u8)>,
    argument: *mut u8,
) {
    // SAFETY: the body keeps what the ABI lets a callee keep, and the rest is declared as lost. Without `nostack` the stack pointer
    // is aligned as for a call, and nothing of the compiler's lies below it.
    unsafe {
        asm!(
            "lea r8, [rip + 2f]",
            "jmp {body}",
            "2:",
            body = sym switch_body,
            inlateout("rdi") from => _,
            inlateout("rsi") to => _,
            inlateout("rdx") action.map_or(0, |action| action as *const () as usize) => _,
            inlateout("rcx") argument => _,
            clobber_abi("C"),
        );
    }
}

/// What [`switch`] jumps to, with the address to go on at in r8.
#[unsafe(naked)]
unsafe extern "C" fn switch_body() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_def_cfa_offset 0",
        ".cfi_register rip, r8",
        // rdi: from, rsi: to, rdx: action, rcx: its argument. Here rsp is a multiple of 16.
        "push r8",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rip, 0",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        // The new side's thread pointer, as early as may be: the write takes long, and what follows overlaps with it. A signal
        // between here and the change of stacks finds the new TLS block on the old stack, which a handler must expect:
        // `SignalFrame::may_switch` does.
        "mov rax, [rsi + 8]",
        "wrfsbase rax",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        // The old side is whole: its stack pointer is published by the action, on the new side, not before.
        "mov [rdi], rsp",
        "mov r8d, [rsp]",
        "movzx r9d, word ptr [rsp + 4]",
        // The new side's stack.
        "mov rsp, [rsi]",
        // From here on the unwinding rules above describe the new stack, which has the same shape.
        // Loading a control word is dear and rarely needed: most bodies share one.
        "cmp r8d, [rsp]",
        "jne 3f",
        "2:",
        "cmp r9w, [rsp + 4]",
        "jne 4f",
        "5:",
        "test rdx, rdx",
        "jz 6f",
        "mov rdi, rcx",
        "call rdx",
        "6:",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbp",
        "pop rax",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_register rip, rax",
        "jmp rax",
        // Out of the way of the common path.
        ".cfi_def_cfa rsp, 64",
        ".cfi_offset rip, -8",
        ".cfi_offset rbp, -16",
        ".cfi_offset rbx, -24",
        ".cfi_offset r12, -32",
        ".cfi_offset r13, -40",
        ".cfi_offset r14, -48",
        ".cfi_offset r15, -56",
        "3:",
        "ldmxcsr [rsp]",
        "jmp 2b",
        "4:",
        "fldcw [rsp + 4]",
        "jmp 5b",
        ".cfi_endproc",
    )
}

/// Bytes of the `nop` that begins `first_entry`.
const FIRST_ENTRY_NOP: usize = 1;

/// The outermost frame of every body: where a fresh stack is resumed.
///
/// rbx holds the entry function, r12 its argument (`FirstFrame::write` put them there). There is no caller: the
/// unwinding rules say so, which ends backtraces and unwinding here, and rbp = 0 tells walks over frame pointers.
#[unsafe(naked)]
unsafe extern "C" fn first_entry() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        // Never run. Unwinders take a return address for the instruction after a call and look at the byte before it: for
        // a fresh body in a post-switch action, this one.
        "nop",
        "xor ebp, ebp",
        "mov rdi, r12",
        "call rbx",
        // The entry function has type `-> !`. The instruction also keeps the return address inside this function.
        "ud2",
        ".cfi_endproc",
    )
}

/// Calls `action(argument)` on the suspended stack at `sp`, below what is saved there, under the caller's thread pointer, and comes
/// back. To an unwinder the action was called by the suspended code: it sees that code's frames, registers and all.
///
/// # Safety
///
/// `sp` is the saved stack pointer of a suspended stack that nobody resumes meanwhile, with room below it for the action, which
/// returns, and doesn't panic or switch.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn visit(
    sp: *mut u8,
    action: unsafe extern "C" fn(*mut u8),
    argument: *mut u8,
) {
    naked_asm!(
        ".cfi_startproc",
        // rdi: sp, rsi: action, rdx: its argument. The visitor's own registers the action keeps: nothing but the way back is saved.
        "mov [rdi - 16], rsp",
        "lea rsp, [rdi - 16]",
        // The saved frame stands 16 bytes above.
        ".cfi_def_cfa rsp, 80",
        ".cfi_offset rbp, -16",
        ".cfi_offset rbx, -24",
        ".cfi_offset r12, -32",
        ".cfi_offset r13, -40",
        ".cfi_offset r14, -48",
        ".cfi_offset r15, -56",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, [rsp]",
        ".cfi_def_cfa rsp, 8",
        ".cfi_restore rbp",
        ".cfi_restore rbx",
        ".cfi_restore r12",
        ".cfi_restore r13",
        ".cfi_restore r14",
        ".cfi_restore r15",
        "ret",
        ".cfi_endproc",
    )
}

/// Makes a kernel thread that begins with `entry(argument)` on `stack` under the thread pointer `fs`: `clone(2)` as it is, with
/// `flags`. The kernel writes the new thread's id to `id`, and clears it when the thread is gone. Gives the id, or an error
/// number below 0.
///
/// `clone` and not `clone3`: sandboxes know it, and nothing of what is newer is needed.
///
/// # Safety
///
/// - `flags` share memory and set the thread pointer and both ids, as a thread's do; signals are blocked, and `entry` finds them so.
/// - `stack` is 16-byte aligned with two words of 0 at it, which end walks over frame pointers; what is below is nobody's.
/// - `fs` is a TCB that nothing runs under. It, the stack and `id` live until `id` has been cleared.
/// - `entry` never returns.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn clone_thread(
    flags: usize,
    stack: *mut u8,
    id: *mut u32,
    fs: usize,
    entry: unsafe extern "C" fn(*mut u8) -> !,
    argument: *mut u8,
) -> isize {
    naked_asm!(
        ".cfi_startproc",
        // rdi: flags, rsi: stack, rdx: id, rcx: fs, r8: entry, r9: its argument. What `first_entry` expects goes through the
        // call in registers that it keeps on both sides.
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "mov rbx, r8",
        "mov r12, r9",
        "mov r8, rcx",
        "mov r10, rdx",
        "mov eax, {clone}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "ret",
        // The new thread, which has no caller.
        "2:",
        ".cfi_undefined rip",
        "jmp {first_entry}",
        ".cfi_endproc",
        clone = const libc::SYS_clone,
        first_entry = sym first_entry,
    )
}

/// The thread pointer: the address of the running TCB.
#[inline(always)]
pub(crate) fn fs_base() -> usize {
    let base;
    // SAFETY: reads a register; `check` refused processors and kernels without the instruction, and callers that
    // come before it (`check` itself) use `tcb_word(0)`.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// Asks for the cache line at `address`, and the translation of its page, without waiting for them. Any address will do.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch of an address that can't be read does nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Writes the thread pointer with the value that it has: what a switch pays at least, for benchmarks.
#[inline(always)]
pub(crate) fn rewrite_fs_base(base: usize) {
    debug_assert_eq!(base, fs_base());
    // SAFETY: the register keeps its value, by the callers in this crate: `floor` reads it a moment before.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) };
}

/// The word at `OFFSET` bytes above the thread pointer.
///
/// # Safety
///
/// FS is the base of a TCB: true on every thread that glibc or this crate made, and not before libc has set up the
/// first one.
#[inline(always)]
pub(crate) unsafe fn tcb_word<const OFFSET: usize>() -> usize {
    let word;
    // SAFETY: the caller vouches that FS is the base of a TCB; OFFSET is one of this file's constants, all inside it.
    // Not `nomem`: the answer depends on which body runs.
    unsafe {
        asm!("mov {0}, fs:[{1}]", out(reg) word, const OFFSET, options(readonly, nostack, preserves_flags))
    };
    word
}

/// Where the caller's stack stands, about.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// A system call that does not pass through libc, with six arguments, of which it takes the first ones: the result, or an error
/// number below 0. `errno` stays as it is, and no thread-local is touched.
///
/// A runtime may define libc's `syscall` to park its threads that wait on futexes. A lock of glibc's own must not wait
/// that way: glibc wakes its waiters with a system call of its own, which would find nobody.
///
/// ```
/// // SAFETY: getpid takes nothing and changes nothing.
/// let id = unsafe { raddle_context::system_call(libc::SYS_getpid, [0; 6]) };
/// assert_eq!(id as u32, std::process::id());
/// // SAFETY: there is no such file descriptor, which is what is asked.
/// let error = unsafe { raddle_context::system_call(libc::SYS_close, [usize::MAX, 0, 0, 0, 0, 0]) };
/// assert_eq!(error, -libc::EBADF as isize);
/// ```
///
/// # Safety
///
/// As the system call's. One that makes a process or thread (`clone`, `vfork`), or changes the stack under its caller, is not for this.
pub unsafe fn system_call(number: i64, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps every register but rax, rcx and r11 (System V ABI, x86_64, A.2.1); what the call does is
    // the caller's contract.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The program counter of an interrupted context.
pub(crate) fn pc(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

/// The stack pointer of an interrupted context.
pub(crate) fn sp(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
}

/// Refuses, by name, a machine on which the switch can't work.
pub(crate) fn check() -> Result<(), Unsupported> {
    /// `AT_HWCAP2` bit: user space may use `wrfsbase` (Linux 5.9, Documentation/arch/x86/elf_hwcaps.rst).
    const HWCAP2_FSGSBASE: u64 = 1 << 1;
    /// `arch_prctl`: which shadow-stack features this thread has enabled (Documentation/arch/x86/shstk.rst).
    const ARCH_SHSTK_STATUS: i32 = 0x5005;
    // SAFETY: getauxval only reads the auxiliary vector.
    if unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE == 0 {
        return Err(Unsupported::new(
            "FSGSBASE: the processor or the kernel does not let user space write the thread pointer; \
             an x86_64 processor of 2012 or later and Linux 5.9 or later do",
        ));
    }
    let mut features = 0u64;
    // SAFETY: the call writes 8 bytes to a local of 8 bytes, or fails with EINVAL where it is unknown.
    let known =
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SHSTK_STATUS, &raw mut features) } == 0;
    if known && features != 0 {
        return Err(Unsupported::new(
            "shadow stacks are on, and a switch would leave them behind; \
             start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
        ));
    }
    Ok(())
}
