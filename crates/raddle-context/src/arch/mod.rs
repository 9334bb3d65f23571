//! The selector: which file speaks to the processor. No logic here.
//!
//! Every architecture defines the same names:
//!
//! | name | what it is |
//! |---|---|
//! | `Resume` | where a suspended stack is taken up again, and with which TLS |
//! | `SavedFrame` | what it holds there |
//! | `FirstFrame`, `FirstFrame::write` | what a fresh stack holds, so that a switch enters it |
//! | `switch` | from one stack and TLS block to another, with an action on the new side |
//! | `visit` | a call on a suspended stack, for a look at its frames |
//! | `clone_thread` | a kernel thread on a stack and TLS block of the caller's |
//! | `fs_base`, `rewrite_fs_base` | the register through which TLS is addressed |
//! | `tcb_word`, `TAG_OFFSET`, `LAUNCHED_OFFSET`, `CANARY_OFFSET`, `POINTER_GUARD_OFFSET` | words of the thread control block, through that register |
//! | `system_call` | a system call that does not pass through libc |
//! | `pc`, `sp`, `stack_pointer` | where an interrupted context, and this function, stand |
//! | `prefetch` | a line that is needed soon |
//! | `RED_ZONE` | bytes below the stack pointer that belong to the running function |
//! | `check` | what the processor lacks, by name |

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
pub use x86_64::system_call;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
pub(crate) use x86_64::*;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
compile_error!(
    "raddle-context knows x86_64 Linux with glibc; another platform needs a file beside arch/x86_64.rs"
);
