//! The initial images of static thread-local storage, to which a recycled block goes back, module by module.
//!
//! The table of images is built from the loader's list of objects and rebuilt when that list has changed. It is read
//! and written only inside `dl_iterate_phdr`'s callback, that is, under the loader's write lock: the lock guards the
//! table, and keeps an image from being unmapped while it is copied. Most programs come by once, at their first recycled body: where
//! [`lasting`](super::lasting) modules are all that is to be reset, the lock is not taken again until a library with TLS comes or goes.
//!
//! The table's memory is mapped, not allocated: it may be built at the very end of a body, when the global allocator's own
//! thread-locals have been destroyed. jemalloc would make itself at home again in them, enter them in its list of threads, and
//! find them wiped by the reset that follows.
//!
//! libc's and the loader's own blocks are left out: see [`Glibc::begin_thread`]. So are modules in other link namespaces
//! (`dlmopen`), which the loader does not show: their static thread-locals keep their last values.
//!
//! Rejected: `_dl_allocate_tls_init`, which resets libc's part as well and so leaks malloc's cache at each use; a table
//! outside the lock, which `dlclose` could pull the images from under.

#![allow(unsafe_code, reason = "reads the loader's tables, writes thread-local storage")]

use super::Glibc;
use super::lasting::{Part, Parts};
use super::symbols::{LinkMap, PhdrInfo, dl_iterate_phdr};
use crate::fork;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// One module's part of every static TLS block: `bytes` at `tp - *offset`, of which the first `image_bytes` are a copy
/// of `image` and the rest are zero.
struct Image {
    /// `l_tls_offset` of the module's link map. Read each time: whether a module that was opened without need for static
    /// TLS gets it after all may be decided later, without a change in the list of objects.
    offset: *const usize,
    image: *const u8,
    image_bytes: usize,
    bytes: usize,
    /// It was loaded for the program's start: it stays, and so does its offset.
    lasts: bool,
}

/// A list of images in pages of its own.
struct Images {
    start: *mut Image,
    length: usize,
    capacity: usize,
}

impl Images {
    const fn new() -> Images {
        Images { start: ptr::null_mut(), length: 0, capacity: 0 }
    }

    fn as_slice(&self) -> &[Image] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the first `length` images of the mapping were written.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    /// `false` if there is no memory for one more.
    #[must_use]
    fn push(&mut self, image: Image) -> bool {
        if self.length == self.capacity && !self.grow() {
            return false;
        }
        // SAFETY: inside the mapping, which has room for `capacity` images.
        unsafe { self.start.add(self.length).write(image) };
        self.length += 1;
        true
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let capacity = (self.capacity * 2).max(4096 / size_of::<Image>());
        // SAFETY: a new mapping; the images that move there are plain values, and nobody keeps a reference to the old ones.
        unsafe {
            let new = libc::mmap(
                ptr::null_mut(),
                capacity * size_of::<Image>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if new == libc::MAP_FAILED {
                return false;
            }
            let new = new.cast::<Image>();
            if self.capacity > 0 {
                ptr::copy_nonoverlapping(self.start, new, self.length);
                libc::munmap(self.start.cast(), self.capacity * size_of::<Image>());
            }
            self.start = new;
        }
        self.capacity = capacity;
        true
    }
}

/// How often objects were added to and removed from the loader's list: equal means unchanged.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    adds: u64,
    subs: u64,
}

/// libc's own part of every static TLS block: `words` words from `tp - start` on.
#[derive(Clone, Copy)]
pub(super) struct LibcBlock {
    pub(super) start: usize,
    pub(super) words: usize,
}

struct Table {
    /// The state of the loader's list that `images` was built from.
    stamp: Option<Stamp>,
    /// False while some module is in the middle of being opened and not in the loader's tables yet: look again.
    settled: bool,
    /// While the list is walked: what stands here was loaded for the program's start.
    at_start: bool,
    /// The loader was met on its list, behind what was loaded for the start.
    loader_met: bool,
    images: Images,
}

/// Guarded by the loader's write lock: touched in `dl_iterate_phdr`'s callbacks only.
struct UnderLoaderLock(UnsafeCell<Table>);

// SAFETY: the lock makes accesses exclusive, and what the image pointers lead to does not depend on the thread.
unsafe impl Sync for UnderLoaderLock {}

static TABLE: UnderLoaderLock = UnderLoaderLock(UnsafeCell::new(Table {
    stamp: None,
    settled: false,
    at_start: false,
    loader_met: false,
    images: Images::new(),
}));

/// What a callback works on.
struct Job<'a> {
    glibc: &'a Glibc,
    tp: *mut u8,
    step: Step,
    done: bool,
    first: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// Copy the images, if the table is current and settled.
    ResetIfSettled,
    /// Build the table anew.
    Collect,
    /// Copy the images, if the table is current.
    ResetIfCurrent,
}

impl Glibc {
    /// Puts the initial images into the static TLS block of `tp`, for every module but libc and the loader.
    ///
    /// # Safety
    ///
    /// The block is the calling body's or one on which nothing runs, and nothing refers to its content any more.
    pub(super) unsafe fn reset_static_tls(&self, tp: *mut u8) {
        // SAFETY: the same contract.
        if unsafe { self.reset_lasting(tp) } {
            return;
        }
        let mut job = Job { glibc: self, tp, step: Step::ResetIfSettled, done: false, first: true };
        // A child that is forked meanwhile would inherit the loader's lock as held, which glibc does not mend.
        let _no_fork = fork::hold_off();
        let run = |job: &mut Job| {
            job.first = true;
            // SAFETY: the callback gets the job back, during the call only.
            unsafe { dl_iterate_phdr(visit, ptr::from_mut(job).cast()) };
            job.done
        };
        if run(&mut job) {
            return;
        }
        // A library may come or go between building the table and using it: then build it again.
        loop {
            job.step = Step::Collect;
            run(&mut job);
            job.step = Step::ResetIfCurrent;
            if run(&mut job) {
                return;
            }
        }
    }

    /// Where the loader keeps the static offset of module `module` with base address `base`. `Err` while the loader has not
    /// entered the module yet.
    fn offset_of(&self, module: usize, base: usize) -> Result<*const usize, NotYet> {
        let dtv = &self.dtv;
        // SAFETY: glibc walks this list of tables without a lock as well (_dl_update_slotinfo): tables are added at its
        // end and never freed. A map is live while its object is on the loader's list, which the caller holds still;
        // one that is not this module's is recognised by its base and its number.
        unsafe {
            let mut table = dtv.slots.read_volatile();
            let mut first = 0;
            while !table.is_null() {
                let length = table.add(dtv.list_length).cast::<usize>().read();
                if module < first + length {
                    let slot = table.add(dtv.list_slots + (module - first) * dtv.slot_size);
                    let map = slot.add(dtv.slot_map).cast::<*const u8>().read_volatile();
                    let is_it = !map.is_null()
                        && map.add(dtv.map_module).cast::<usize>().read() == module
                        && (*map.cast::<LinkMap>()).base == base;
                    return if is_it { Ok(map.add(dtv.map_offset).cast()) } else { Err(NotYet) };
                }
                first += length;
                table = table.add(dtv.list_next).cast::<*const u8>().read_volatile();
            }
        }
        Err(NotYet)
    }

    /// The distance below the thread pointer of a block of `bytes`, if `offset` is one in the static part.
    ///
    /// # Safety
    ///
    /// `offset` is a live link map's.
    unsafe fn below(&self, offset: *const usize, bytes: usize) -> Option<usize> {
        // `NO_TLS_OFFSET` is 0 and `FORCED_DYNAMIC_TLS_OFFSET` is -1 (`sysdeps/generic/ldsodefs.h`, `dl-tls.h`): neither
        // passes for an offset that has room for the block. A module without bytes has nothing to copy.
        // SAFETY: by contract.
        let below = unsafe { offset.read_volatile() };
        (below > 0 && bytes <= below && below <= self.tls_below()).then_some(below)
    }
}

/// A module that is being opened: relocated and entered into the loader's tables only later.
struct NotYet;

unsafe extern "C" fn visit(object: *mut PhdrInfo, _size: usize, job: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr passes a valid description and our job; it holds the lock that guards the table.
    let (object, job, table) = unsafe { (&*object, &mut *job.cast::<Job>(), &mut *TABLE.0.get()) };
    let now = Stamp { adds: object.adds, subs: object.subs };
    match job.step {
        Step::Collect => {
            if std::mem::take(&mut job.first) {
                table.images.clear();
                table.stamp = Some(now);
                table.settled = true;
                table.at_start = is_program(object);
                table.loader_met = false;
            }
            collect(table, object, job.glibc);
            0
        }
        Step::ResetIfSettled | Step::ResetIfCurrent => {
            let usable =
                table.stamp == Some(now) && (table.settled || job.step == Step::ResetIfCurrent);
            if usable {
                for image in table.images.as_slice() {
                    // SAFETY: the object is on the loader's list, which is held, so its map and its image are there. The
                    // block is free to be written by reset_static_tls's contract, and inside its static part.
                    unsafe {
                        let Some(below) = job.glibc.below(image.offset, image.bytes) else {
                            continue;
                        };
                        let block = job.tp.wrapping_sub(below);
                        ptr::copy_nonoverlapping(image.image, block, image.image_bytes);
                        let rest = image.bytes - image.image_bytes;
                        block.add(image.image_bytes).write_bytes(0, rest);
                    }
                }
                job.done = true;
                if let Some(parts) = only_lasting(table, job.glibc) {
                    job.glibc.only_lasting(parts);
                }
            }
            1
        }
    }
}

/// The lasting modules' parts, if nothing else in a static TLS block is to be reset, now or before the next module comes or goes.
fn only_lasting(table: &Table, glibc: &Glibc) -> Option<Parts> {
    /// `FORCED_DYNAMIC_TLS_OFFSET` of `dl-tls.h`: decided, for good.
    const DYNAMIC: usize = usize::MAX;
    if !table.settled || !table.loader_met {
        return None;
    }
    let mut parts = Parts::new();
    for image in table.images.as_slice() {
        let Image { offset, image, image_bytes, bytes, lasts } = *image;
        // SAFETY: the object is on the loader's list, which is held, so its map is there.
        let (offset, below) = unsafe { (offset.read_volatile(), glibc.below(offset, bytes)) };
        let fits = match below {
            Some(below) => lasts && parts.push(Part { below, image, image_bytes, bytes }),
            None => offset == DYNAMIC,
        };
        if !fits {
            return None;
        }
    }
    Some(parts)
}

/// Whose thread-locals a module holds.
#[derive(PartialEq)]
enum Owner {
    Libc,
    Loader,
    Program,
}

fn headers(object: &PhdrInfo) -> &[libc::Elf64_Phdr] {
    // SAFETY: the loader keeps the headers of an object on its list mapped.
    unsafe { std::slice::from_raw_parts(object.headers, usize::from(object.header_count)) }
}

/// Whether `address` is in one of the object's segments.
fn holds(object: &PhdrInfo, address: usize) -> bool {
    headers(object).iter().any(|header| {
        let start = object.base.wrapping_add(header.p_vaddr as usize);
        header.p_type == libc::PT_LOAD
            && (start..start + header.p_memsz as usize).contains(&address)
    })
}

/// Whether the object is the program itself, the first of the first link namespace: it alone has no name.
fn is_program(object: &PhdrInfo) -> bool {
    // SAFETY: null, or a string of the loader's.
    !object.name.is_null() && unsafe { object.name.read() } == 0
}

fn is_loader(object: &PhdrInfo, glibc: &Glibc) -> bool {
    holds(object, glibc.symbols.allocate_tls as usize)
}

/// The TLS segment of an object that has one, and whose it is.
fn tls_of<'a>(object: &'a PhdrInfo, glibc: &Glibc) -> Option<(&'a libc::Elf64_Phdr, Owner)> {
    let tls = headers(object).iter().find(|header| header.p_type == libc::PT_TLS)?;
    let owner = if holds(object, glibc.symbols.call_tls_dtors as usize) {
        Owner::Libc
    } else if is_loader(object, glibc) {
        Owner::Loader
    } else {
        Owner::Program
    };
    Some((tls, owner))
}

fn collect(table: &mut Table, object: &PhdrInfo, glibc: &Glibc) {
    if is_loader(object, glibc) {
        table.loader_met = true;
        table.at_start = false;
    }
    let Some((tls, Owner::Program)) = tls_of(object, glibc) else { return };
    let Ok(offset) = glibc.offset_of(object.tls_module, object.base) else {
        table.settled = false;
        return;
    };
    let entered = table.images.push(Image {
        offset,
        image: ptr::with_exposed_provenance(object.base.wrapping_add(tls.p_vaddr as usize)),
        image_bytes: tls.p_filesz as usize,
        bytes: tls.p_memsz as usize,
        lasts: table.at_start,
    });
    if !entered {
        // A page for a table is all that was asked for. Going on would hand one body's thread-locals to the next.
        std::process::abort();
    }
}

/// Where libc's own thread-locals are in every static TLS block, if they are whole words, as they are in every release.
pub(super) fn libc_block(glibc: &Glibc) -> Option<LibcBlock> {
    static BLOCK: OnceLock<Option<LibcBlock>> = OnceLock::new();
    struct Search<'a> {
        glibc: &'a Glibc,
        found: Option<LibcBlock>,
    }
    unsafe extern "C" fn look(object: *mut PhdrInfo, _size: usize, search: *mut c_void) -> c_int {
        // SAFETY: dl_iterate_phdr passes a valid description and our search.
        let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
        let Some((tls, Owner::Libc)) = tls_of(object, search.glibc) else { return 0 };
        let bytes = tls.p_memsz as usize;
        // SAFETY: libc stays on the loader's list.
        let start = search
            .glibc
            .offset_of(object.tls_module, object.base)
            .ok()
            .and_then(|offset| unsafe { search.glibc.below(offset, bytes) });
        if let Some(start) = start
            && bytes.is_multiple_of(8)
            && start.is_multiple_of(8)
        {
            search.found = Some(LibcBlock { start, words: bytes / 8 });
        }
        1
    }
    *BLOCK.get_or_init(|| {
        let mut search = Search { glibc, found: None };
        // SAFETY: the callback gets the search back, during the call only.
        unsafe { dl_iterate_phdr(look, ptr::from_mut(&mut search).cast()) };
        search.found
    })
}
