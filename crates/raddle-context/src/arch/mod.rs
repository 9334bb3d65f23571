//! The selector: which file speaks to the processor. No logic here.
//!
//! Every architecture defines the same names:
//!
//! | name | what it is |
//! |---|---|
//! | `SavedFrame` | what a suspended stack holds at its stack pointer |
//! | `FirstFrame`, `FirstFrame::write` | what a fresh stack holds, so that a switch enters it |
//! | `switch` | from one stack and TLS block to another, with an action on the new side |
//! | `fs_base`, `set_fs_base` | the register through which TLS is addressed |
//! | `tcb_word`, `TAG_OFFSET`, `CANARY_OFFSET`, `POINTER_GUARD_OFFSET` | words of the thread control block, through that register |
//! | `pc`, `sp`, `stack_pointer` | where an interrupted context, and this function, stand |
//! | `RED_ZONE` | bytes below the stack pointer that belong to the running function |
//! | `check` | what the processor lacks, by name |

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
pub(crate) use x86_64::*;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
compile_error!(
    "raddle-context knows x86_64 Linux with glibc; another platform needs a file beside arch/x86_64.rs"
);
