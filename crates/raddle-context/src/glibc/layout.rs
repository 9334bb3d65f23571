//! Where everything is in glibc's structures: put together and checked once in a process.

#![allow(unsafe_code, reason = "computes addresses in glibc's structures from their descriptors")]

use super::specimen::{self, Specimen};
use super::symbols::{self, Symbols, field, size};
use super::thread_list::{Node, ThreadList};
use crate::arch;
use crate::error::Unsupported;
use crate::fork;
use std::fmt;
use std::sync::OnceLock;

/// Offsets in `struct pthread`, from the thread pointer.
///
/// ```text
///    0x00  tcb, dtv, self, multiple_threads, sysinfo, canary, pointer guard      fixed by the ABI
///    0x100 the tag, 0x108 launched: our words                                    reserved, unused since 2.23
///    list, tid, specific, report_events, dtvp                                    descriptors
///    robust_prev, robust_head                                                    the kernel knows
///    specific_used = report_events - 1; user_stack / stack_mode just after it    specimen
///    stackblock, stackblock_size, guardsize, reported_guardsize                  specimen
///    res, through __resp                                                         specimen
///    rseq, through __rseq_offset                                                 public
/// ```
pub(crate) struct PthreadLayout {
    /// `sizeof(struct pthread)`.
    pub(super) size: usize,
    pub(super) list: usize,
    pub(super) tid: usize,
    /// `struct pthread_key_data *specific[32]`, and the block of 32 keys that its first pointer leads to.
    pub(super) specific: usize,
    pub(super) specific_first: usize,
    pub(super) specific_used: usize,
    /// Bits of `int cancelhandling`: state and type of cancellation among them.
    pub(super) cancel: usize,
    /// `joinstate`, which since 2.43 must say that the thread has not exited.
    pub(super) join_state: Option<usize>,
    /// `getrandom_buf`, since 2.41 where the kernel has the vDSO function.
    pub(super) getrandom_state: Option<usize>,
    /// "The program provided this stack": glibc must never free it or hand it out.
    pub(super) user_stack: UserStack,
    /// `struct robust_list_head`; the word before it is `robust_prev`.
    pub(super) robust_head: usize,
    /// The `futex_offset` that every thread's robust list head carries.
    pub(super) robust_futex_offset: usize,
    /// Four words: `stackblock`, `stackblock_size`, `guardsize`, `reported_guardsize`.
    pub(super) stack: usize,
    /// `struct __res_state`.
    pub(super) resolver: usize,
}

/// How a version says that the stack is the program's: a flag until 2.41, a mode since 2.42.
#[derive(Clone, Copy)]
pub(super) enum UserStack {
    Flag { offset: usize },
    Mode { offset: usize, user: u32 },
}

/// Sizes in the two-level tables of thread-specific data (`pthread_key_create`).
pub(super) struct KeyLayout {
    /// The global table `__pthread_keys`.
    pub(super) table: *const u8,
    pub(super) struct_size: usize,
    pub(super) struct_seq: usize,
    pub(super) struct_destructor: usize,
    /// A thread's `struct pthread_key_data`.
    pub(super) data_size: usize,
    pub(super) data_seq: usize,
    pub(super) data_data: usize,
}

/// The dynamic thread vector and the loader's table of modules with TLS.
pub(super) struct DtvLayout {
    /// Size of a `dtv_t`.
    pub(super) entry: usize,
    /// Where in it the block's address is. The word after it is the pointer to free.
    pub(super) value: usize,
    /// Pointer, in `_rtld_global`, to the list of slot tables.
    pub(super) slots: *const *const u8,
    pub(super) list_length: usize,
    pub(super) list_next: usize,
    pub(super) list_slots: usize,
    pub(super) slot_size: usize,
    pub(super) slot_map: usize,
    /// The generation of the loader's table in which a slot changed last; `None` where it is not described, and then not used.
    pub(super) slot_generation: Option<usize>,
    /// In `struct link_map`.
    pub(super) map_module: usize,
    pub(super) map_offset: usize,
}

/// Everything this crate knows of the glibc that it runs on.
pub(crate) struct Glibc {
    pub(super) symbols: Symbols,
    pub(super) pthread: PthreadLayout,
    pub(super) keys: KeyLayout,
    pub(super) dtv: DtvLayout,
    pub(super) threads: ThreadList,
    /// Of the static TLS block, the TCB included.
    tls_size: usize,
    tls_align: usize,
    /// `__resp`, from the thread pointer.
    pub(super) resolver_pointer: isize,
    /// The rseq area's `cpu_id`, from the thread pointer; `None` before glibc 2.35.
    pub(super) rseq_cpu_id: Option<isize>,
}

// SAFETY: the raw pointers lead to tables of the loader and of libc that live as long as the process. They are read as
// glibc's own code and its debugger library read them, or under the loader's lock.
unsafe impl Send for Glibc {}
// SAFETY: as above; nothing here changes after it was made.
unsafe impl Sync for Glibc {}

/// The layout, worked out at the first call: two short-lived threads, some 100 to 200 microseconds.
///
/// # Errors
///
/// What is missing or does not match, by name; the same answer at every call.
pub(crate) fn glibc() -> Result<&'static Glibc, Unsupported> {
    static GLIBC: OnceLock<Result<Glibc, Unsupported>> = OnceLock::new();
    if GLIBC.get().is_none() {
        // A child that is forked before the answer is there would wait for it for ever.
        let _no_fork = fork::hold_off();
        GLIBC.get_or_init(Glibc::examine);
    }
    GLIBC.get_or_init(Glibc::examine).as_ref().map_err(Clone::clone)
}

impl Glibc {
    /// Bytes that a TCB takes above the thread pointer.
    pub(crate) fn tcb_size(&self) -> usize {
        self.pthread.size
    }

    /// Bytes of thread-local storage below the thread pointer, surplus for later libraries included.
    pub(crate) fn tls_below(&self) -> usize {
        self.tls_size - self.pthread.size
    }

    /// What the thread pointer must be a multiple of.
    pub(crate) fn tls_align(&self) -> usize {
        self.tls_align
    }

    /// Where the kernel writes for the calling kernel thread, which must not be running a body.
    pub(crate) fn rseq_area(&self) -> Option<usize> {
        let cpu_id = self.rseq_cpu_id?;
        Some(arch::fs_base().wrapping_add_signed(cpu_id - RSEQ_CPU_ID))
    }

    fn examine() -> Result<Glibc, Unsupported> {
        arch::check()?;
        let symbols = Symbols::look_up()?;
        let pthread_size = size(c"_thread_db_sizeof_pthread")?;
        let user = field(c"_thread_db_rtld_global__dl_stack_user")?;
        /// From `_dl_stack_user` to `_dl_stack_cache_lock` in `struct rtld_global`: this list's head, the
        /// cache list's head, a size and an address (`sysdeps/generic/ldsodefs.h`, 2.34 to 2.43).
        const USER_TO_LOCK: usize = 16 + 16 + 8 + 8;
        let threads = ThreadList {
            head: symbols.rtld_global.wrapping_add(user.offset).cast::<Node>(),
            lock: symbols.rtld_global.wrapping_add(user.offset + USER_TO_LOCK).cast(),
        };
        let list = field(c"_thread_db_pthread_list")?.offset;
        let specimen = specimen::examine(&symbols, pthread_size, &threads, list)?;
        let pthread = PthreadLayout::of(&specimen, pthread_size)?;
        let (mut tls_size, mut tls_align) = (0, 0);
        // SAFETY: the function writes its two results.
        unsafe { (symbols.tls_static_info)(&raw mut tls_size, &raw mut tls_align) };
        require(
            tls_size > pthread_size && tls_align.is_power_of_two(),
            "the static TLS block's size and alignment (_dl_get_tls_static_info)",
        )?;
        let rseq_cpu_id = symbols.rseq_offset.map(|area| area + RSEQ_CPU_ID);
        if let Some(at) = rseq_cpu_id {
            require(
                at >= -((tls_size - pthread_size) as isize) && at + 4 <= pthread_size as isize,
                "the rseq area (__rseq_offset) within the thread's block",
            )?;
        }
        Ok(Glibc {
            keys: KeyLayout::described(symbols.keys)?,
            dtv: DtvLayout::described(symbols.rtld_global)?,
            resolver_pointer: specimen.resolver.0.wrapping_sub(specimen.tcb) as isize,
            rseq_cpu_id,
            pthread,
            threads,
            tls_size,
            tls_align,
            symbols,
        })
    }
}

/// `offsetof(struct rseq, cpu_id)` in `<linux/rseq.h>`: kernel ABI.
const RSEQ_CPU_ID: isize = 4;

impl PthreadLayout {
    /// Reads the offsets off descriptors and the specimen, and checks every one of them on the specimen.
    fn of(specimen: &Specimen, size: usize) -> Result<PthreadLayout, Unsupported> {
        let tcb = specimen.tcb;
        let list = field(c"_thread_db_pthread_list")?.offset;
        let tid = field(c"_thread_db_pthread_tid")?.offset;
        let specific = field(c"_thread_db_pthread_specific")?.offset;
        let report_events = field(c"_thread_db_pthread_report_events")?.offset;

        require(specimen.word(0) == Some(tcb), "TCB word 0 (tcb): the TCB's own address")?;
        require(specimen.word(16) == Some(tcb), "TCB word 2 (self): the TCB's own address")?;
        require(matches!(specimen.half(24), Some(0 | 1)), "TCB word 3 (multiple_threads): a flag")?;
        // SAFETY: this thread's FS is the base of a TCB of glibc's.
        let (canary, guard, ours) = unsafe {
            (
                arch::tcb_word::<{ arch::CANARY_OFFSET }>(),
                arch::tcb_word::<{ arch::POINTER_GUARD_OFFSET }>(),
                arch::tcb_word::<{ arch::TAG_OFFSET }>()
                    | arch::tcb_word::<{ arch::LAUNCHED_OFFSET }>(),
            )
        };
        require(
            specimen.word(arch::CANARY_OFFSET) == Some(canary),
            "TCB word 5 (stack canary): the same in every thread",
        )?;
        require(
            specimen.word(arch::POINTER_GUARD_OFFSET) == Some(guard),
            "TCB word 6 (pointer guard): the same in every thread",
        )?;
        require(
            specimen.word(arch::TAG_OFFSET) == Some(0)
                && specimen.word(arch::LAUNCHED_OFFSET) == Some(0)
                && ours == 0,
            "TCB words 32 and 33 (reserved): unused",
        )?;
        require(
            specimen.half(tid) == Some(specimen.kernel_id as u32),
            "pthread.tid: the kernel's thread id",
        )?;

        let robust_head = specimen.robust_head.wrapping_sub(tcb);
        require(
            robust_head >= 8 && specimen.word(robust_head) == Some(specimen.robust_head),
            "pthread.robust_head: where the kernel was told it is",
        )?;
        require(
            specimen.word(robust_head - 8) == Some(specimen.robust_head),
            "pthread.robust_prev: the word before robust_head",
        )?;
        let robust_futex_offset = specimen.word(robust_head + 8).unwrap_or_default();

        let specific_first = specimen.word(specific).unwrap_or_default().wrapping_sub(tcb);
        require(
            specific_first < size,
            "pthread.specific[0]: the first block of keys, inside the structure",
        )?;

        let stack_words = [specimen.stack.0, specimen.stack.1];
        let stack = (0..size / 8)
            .map(|word| word * 8)
            .find(|&at| [specimen.word(at), specimen.word(at + 8)] == stack_words.map(Some));
        let stack = require_some(stack, "pthread.stackblock and stackblock_size")?;

        let resolver = specimen.resolver.1.wrapping_sub(tcb);
        require(resolver < size, "pthread.res: where __resp points, inside the structure")?;

        let user_stack = UserStack::on(specimen, report_events)?;
        Ok(PthreadLayout {
            size,
            cancel: field(c"_thread_db_pthread_cancelhandling")?.offset,
            join_state: user_stack.join_state(specimen),
            getrandom_state: specimen.getrandom_state,
            list,
            tid,
            specific,
            specific_first,
            specific_used: report_events - 1,
            user_stack,
            robust_head,
            robust_futex_offset,
            stack,
            resolver,
        })
    }
}

/// `THREAD_STATE_JOINABLE` of `nptl/descr.h` since 2.43.
pub(super) const JOINABLE: u32 = 2;

impl UserStack {
    /// The specimen's stack was the program's, so whatever says so is set in it.
    fn on(specimen: &Specimen, report_events: usize) -> Result<UserStack, Unsupported> {
        /// `ALLOCATE_GUARD_USER` of `nptl/descr.h` since 2.42.
        const GUARD_USER: u32 = 2;
        let flag = report_events + 1;
        let mode = flag.next_multiple_of(4);
        if specimen.bytes.get(flag) == Some(&1) {
            return Ok(UserStack::Flag { offset: flag });
        }
        require(
            specimen.half(mode) == Some(GUARD_USER),
            "pthread.user_stack (stack_mode since 2.42): set for a stack that the program provides",
        )?;
        Ok(UserStack::Mode { offset: mode, user: GUARD_USER })
    }

    /// Where a version that has `joinstate` keeps it: five words of 32 bits after `stack_mode` (`nptl/descr.h`, 2.43),
    /// where a joinable specimen has 2. Earlier versions have a null pointer there.
    fn join_state(self, specimen: &Specimen) -> Option<usize> {
        match self {
            UserStack::Mode { offset, .. } if specimen.half(offset + 20) == Some(JOINABLE) => {
                Some(offset + 20)
            }
            _ => None,
        }
    }
}

impl KeyLayout {
    fn described(table: *const u8) -> Result<KeyLayout, Unsupported> {
        Ok(KeyLayout {
            table,
            struct_size: size(c"_thread_db_sizeof_pthread_key_struct")?,
            struct_seq: field(c"_thread_db_pthread_key_struct_seq")?.offset,
            struct_destructor: field(c"_thread_db_pthread_key_struct_destr")?.offset,
            data_size: size(c"_thread_db_sizeof_pthread_key_data")?,
            data_seq: field(c"_thread_db_pthread_key_data_seq")?.offset,
            data_data: field(c"_thread_db_pthread_key_data_data")?.offset,
        })
    }
}

impl DtvLayout {
    fn described(rtld_global: *mut u8) -> Result<DtvLayout, Unsupported> {
        let slots = field(c"_thread_db_rtld_global__dl_tls_dtv_slotinfo_list")?;
        let entry = field(c"_thread_db_dtv_dtv")?;
        let value = field(c"_thread_db_dtv_t_pointer_val")?;
        require(
            entry.bytes == 16 && value.offset == 0,
            "dtv_t: two words, the block's address and the pointer to free",
        )?;
        Ok(DtvLayout {
            entry: entry.bytes,
            value: value.offset,
            slots: rtld_global.wrapping_add(slots.offset).cast_const().cast(),
            list_length: field(c"_thread_db_dtv_slotinfo_list_len")?.offset,
            list_next: field(c"_thread_db_dtv_slotinfo_list_next")?.offset,
            list_slots: field(c"_thread_db_dtv_slotinfo_list_slotinfo")?.offset,
            slot_size: size(c"_thread_db_sizeof_dtv_slotinfo")?,
            slot_map: field(c"_thread_db_dtv_slotinfo_map")?.offset,
            slot_generation: field(c"_thread_db_dtv_slotinfo_gen")
                .ok()
                .filter(|generation| generation.bytes == 8)
                .map(|generation| generation.offset),
            map_module: field(c"_thread_db_link_map_l_tls_modid")?.offset,
            map_offset: field(c"_thread_db_link_map_l_tls_offset")?.offset,
        })
    }
}

fn require(holds: bool, what: &str) -> Result<(), Unsupported> {
    require_some(holds.then_some(()), what)
}

fn require_some<T>(found: Option<T>, what: &str) -> Result<T, Unsupported> {
    found.ok_or_else(|| {
        Unsupported::new(format!("{} does not have {what}, as 2.34 to 2.43 do", symbols::version()))
    })
}

impl fmt::Debug for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&symbols::version())
    }
}
