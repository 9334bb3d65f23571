//! The slots that all cores share: numbering them, building them, and the lists of free ones.

#![allow(unsafe_code, reason = "builds headers and TLS blocks in raw memory")]

use super::config::{Config, Usage};
use super::exhausted::Exhausted;
use super::guard::Guards;
use super::region::{REGION_SLOTS, REGIONS, Region, SlotState};
use crate::body::{Body, BodyRef};
use crate::context::Context;
use crate::fork;
use crate::glibc::{Glibc, Husk, Identity};
use crate::header::{Geometry, Header};
use raddle_core::lifo::{Lifo, Link, Links};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// An arena, as its handles, caches and bodies share it.
#[derive(Debug)]
pub(crate) struct Shared {
    // Constant.
    pub(super) glibc: &'static Glibc,
    geometry: Geometry,
    guards: Guards,
    generation: u32,
    /// Unlike any other arena's of this process.
    pub(super) id: u64,

    // Lock-free. A region pointer is set once and freed with the arena.
    regions: Box<[AtomicPtr<Region>]>,
    next: AtomicU32,
    pub(super) warm: Lifo,
    pub(super) cold: Lifo,
    pub(super) bare: Lifo,
    built: AtomicUsize,
    unmap: AtomicBool,

    // Under its own lock, on the slow path only: what libc knew of bodies that were given back.
    pub(super) husks: Mutex<Vec<Husk>>,
}

impl Links for Shared {
    fn link(&self, index: u32) -> &Link {
        &self.state(index).link
    }
}

impl Shared {
    pub(super) fn new(glibc: &'static Glibc, config: Config) -> io::Result<Shared> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let geometry = checked_geometry(glibc, &config)?;
        Ok(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            unmap: AtomicBool::new(false),
            glibc,
            geometry,
            guards: config.guards.resolve()?,
            generation: fork::generation(),
            regions: (0..REGIONS).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            next: AtomicU32::new(0),
            warm: Lifo::new(),
            cold: Lifo::new(),
            bare: Lifo::new(),
            built: AtomicUsize::new(0),
            husks: Mutex::new(Vec::new()),
        })
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn guards(&self) -> Guards {
        self.guards
    }

    pub(super) fn unmap_at_end(&self) {
        self.unmap.store(true, Ordering::Relaxed);
    }

    pub(super) fn usage(&self) -> Usage {
        let regions = self.regions().map(|region| region.bytes());
        Usage {
            regions: regions.clone().count(),
            address_bytes: regions.sum(),
            slots: self.built.load(Ordering::Relaxed),
        }
    }

    /// The owner's handle on a built slot that is in no list.
    ///
    /// # Safety
    ///
    /// Slot `index` is built, and the caller took it from a list or built it itself.
    pub(super) unsafe fn body(&self, index: u32) -> Body {
        let header = self.geometry.parts(self.slot(index), index).header;
        // SAFETY: a slot's address is not null; built and the caller's own by contract.
        unsafe { Body::from_header(NonNull::new_unchecked(header)) }
    }

    /// The bodies of all slots that are built.
    pub(super) fn bodies(&self) -> impl Iterator<Item = BodyRef> {
        (0..self.next.load(Ordering::Acquire)).filter_map(|index| {
            let region = self.region(index / REGION_SLOTS)?;
            let state = region.slots.get((index % REGION_SLOTS) as usize)?;
            // SAFETY: the slot is built: what is made here is only a reference to it, whose memory stays mapped.
            state.built.load(Ordering::Acquire).then(|| unsafe { *self.body(index) })
        })
    }

    /// The number of a body that comes back.
    ///
    /// # Panics
    ///
    /// If it is another arena's.
    #[inline]
    pub(super) fn own_number(&self, body: &Body) -> u32 {
        let header = body.header().as_ptr();
        // SAFETY: a body's header is constant in these fields, and mapped while somebody owns the body.
        let (arena, index) = unsafe { ((*header).arena, (*header).index) };
        assert!(arena == self.id, "a body was given to another arena than it was taken from");
        index
    }

    /// Whether this process made the arena, and not one that it was forked from.
    #[inline]
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == fork::generation()
    }

    /// The same as a result.
    pub(super) fn check_generation(&self) -> io::Result<()> {
        if self.is_of_this_process() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this arena was made before the process was forked; make a new one in the child",
        ))
    }

    /// A built slot that has no stack pages: one whose TLS block was kept, or one that is built now.
    pub(super) fn build(&self) -> io::Result<u32> {
        if let Some(index) = self.cold.pop(self) {
            return Ok(index);
        }
        self.check_generation()?;
        let index = match self.bare.pop(self) {
            Some(index) => index,
            None => self.number_slot()?,
        };
        match self.build_slot(index) {
            Ok(()) => Ok(index),
            Err(error) => {
                self.bare.push(self, index);
                Err(error)
            }
        }
    }

    fn build_slot(&self, index: u32) -> io::Result<()> {
        let slot = self.slot(index);
        let parts = self.geometry.parts(slot, index);
        let state = self.state(index);
        if !state.guarded.load(Ordering::Relaxed) {
            // SAFETY: the lowest bytes of a slot that nobody uses.
            unsafe { self.guards.make(slot, self.geometry.guard_bytes)? };
            state.guarded.store(true, Ordering::Relaxed);
        }
        let header = Header {
            context: Context::fresh(
                parts.tp.expose_provenance(),
                parts.stack_low,
                parts.stack_high,
            ),
            tp: parts.tp,
            stack_low: parts.stack_low,
            stack_high: parts.stack_high,
            slot,
            arena: self.id,
            index,
            is_fresh: true,
            is_entered: false,
        };
        let identity = Identity {
            stack_low: slot,
            stack_bytes: parts.header.addr() - slot.addr(),
            guard_bytes: self.geometry.guard_bytes,
            thread_id: self.thread_id(index),
            tag: parts.header.cast(),
        };
        // SAFETY: the slot is mapped, nobody's, and zero above its guard: never used, or given back to the kernel whole.
        // `parts` lie inside it without overlap.
        unsafe {
            parts.header.write(header);
            if !self.glibc.build_block(parts.tp, &identity) {
                self.clear(index);
                return Err(Exhausted::Heap.into());
            }
            if let Some(husk) = self.husks.lock().unwrap_or_else(|e| e.into_inner()).pop() {
                self.glibc.put_on(husk, parts.tp);
            }
        }
        // Release: whoever sees it, in `bodies`, sees the header.
        state.built.store(true, Ordering::Release);
        self.built.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes slot `index`'s TLS block down and gives all its pages back: it is bare after that.
    ///
    /// # Safety
    ///
    /// The slot is built, in no list, and nothing runs on it.
    pub(super) unsafe fn strip(&self, index: u32) {
        let parts = self.geometry.parts(self.slot(index), index);
        // SAFETY: by contract.
        unsafe {
            self.glibc.take_down_block(parts.tp);
            self.clear(index);
        }
        self.state(index).built.store(false, Ordering::Relaxed);
        self.built.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes a slot's bytes zero, by giving its pages back.
    ///
    /// # Safety
    ///
    /// Nothing in the slot is of use to anybody.
    unsafe fn clear(&self, index: u32) {
        /// `MADV_DONTNEED_LOCKED` of `<asm-generic/mman-common.h>`, Linux 5.18: pages locked by `mlockall` too.
        const MADV_DONTNEED_LOCKED: libc::c_int = 24;
        let low = self.slot(index).wrapping_add(self.geometry.guard_bytes);
        let bytes = self.geometry.slot_bytes - self.geometry.guard_bytes;
        // SAFETY: by contract; the range is page-aligned and the arena's own. Where the kernel keeps the pages, they are at least zero.
        unsafe {
            if libc::madvise(low.cast(), bytes, libc::MADV_DONTNEED) != 0
                && libc::madvise(low.cast(), bytes, MADV_DONTNEED_LOCKED) != 0
            {
                low.write_bytes(0, bytes);
            }
        }
    }

    /// The next slot that was never used, in a region that is mapped now if it was not.
    fn number_slot(&self) -> io::Result<u32> {
        loop {
            let index = self.next.load(Ordering::Relaxed);
            let region = index / REGION_SLOTS;
            if region >= REGIONS {
                return Err(Exhausted::Slots.into());
            }
            let slots = self.region_or_map(region)?.slots.len() as u32;
            let after = if index % REGION_SLOTS < slots {
                index + 1
            } else {
                // The region is a short one: on to the next.
                (region + 1) * REGION_SLOTS
            };
            let won = self
                .next
                .compare_exchange(index, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
            if won && index % REGION_SLOTS < slots {
                return Ok(index);
            }
        }
    }

    fn region_or_map(&self, number: u32) -> io::Result<&Region> {
        if let Some(region) = self.region(number) {
            return Ok(region);
        }
        let new = Box::into_raw(Box::new(Region::map(&self.geometry)?));
        let place = &self.regions[number as usize];
        // Release: whoever sees the pointer sees the region.
        match place.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire) {
            // SAFETY: now shared, and freed only with the arena.
            Ok(_) => Ok(unsafe { &*new }),
            Err(theirs) => {
                // SAFETY: nobody else has seen `new`; `theirs` is a region like any other.
                unsafe {
                    let new = Box::from_raw(new);
                    new.unmap();
                    Ok(&*theirs)
                }
            }
        }
    }

    pub(super) fn region(&self, number: u32) -> Option<&Region> {
        let region = self.regions[number as usize].load(Ordering::Acquire);
        // SAFETY: null, or a leaked Box that is freed only with the arena.
        unsafe { region.as_ref() }
    }

    fn regions(&self) -> impl Iterator<Item = &Region> + Clone {
        (0..REGIONS).map_while(|number| self.region(number))
    }

    fn state(&self, index: u32) -> &SlotState {
        let region = self.region(index / REGION_SLOTS).expect("a numbered slot's region is mapped");
        &region.slots[(index % REGION_SLOTS) as usize]
    }

    pub(super) fn slot(&self, index: u32) -> *mut u8 {
        let region = self.region(index / REGION_SLOTS).expect("a numbered slot's region is mapped");
        region.slot((index % REGION_SLOTS) as usize, self.geometry.slot_bytes)
    }

    fn thread_id(&self, index: u32) -> u32 {
        let region = self.region(index / REGION_SLOTS).expect("a numbered slot's region is mapped");
        region.first_thread_id + index % REGION_SLOTS
    }

    /// Strips every free slot.
    fn strip_free_slots(&self) {
        for list in [&self.warm, &self.cold] {
            while let Some(index) = list.pop(self) {
                // SAFETY: out of its list, so this is its owner.
                unsafe { self.strip(index) };
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A parent's arena: glibc's list has no body of it, and this thread may run on one of its stacks.
        if self.check_generation().is_err() {
            return;
        }
        self.strip_free_slots();
        let unmap = *self.unmap.get_mut() && *self.built.get_mut() == 0;
        for region in &self.regions {
            let region = region.load(Ordering::Relaxed);
            if region.is_null() {
                continue;
            }
            // SAFETY: the Box was leaked for this arena, which nobody else holds. If it is to be unmapped, no slot is built and
            // by unmap's contract nobody looks at one.
            unsafe {
                let region = Box::from_raw(region);
                if unmap {
                    region.unmap();
                }
            }
        }
    }
}

fn checked_geometry(glibc: &Glibc, config: &Config) -> io::Result<Geometry> {
    /// Less stack than this is not enough for a signal frame, a backtrace and a little work.
    const LEAST_STACK: usize = 16 * 1024;
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let Config { slot_bytes, guard_bytes, control_bytes, .. } = *config;
    if !slot_bytes.is_power_of_two() || !(64 << 10..=1 << 30).contains(&slot_bytes) {
        return wrong(format!(
            "slot_bytes is {slot_bytes}; it must be a power of two from 65536 to 1073741824"
        ));
    }
    if guard_bytes % 4096 != 0 || guard_bytes < 16 * 1024 || guard_bytes > slot_bytes / 2 {
        return wrong(format!(
            "guard_bytes is {guard_bytes}; it must be a multiple of 4096 from 16384 to half of slot_bytes, {}",
            slot_bytes / 2
        ));
    }
    if control_bytes > 4096 {
        return wrong(format!("control_bytes is {control_bytes}; it must be at most 4096"));
    }
    let geometry = Geometry::new(glibc, slot_bytes, guard_bytes, control_bytes);
    if geometry.stack_bytes() < LEAST_STACK {
        return wrong(format!(
            "slot_bytes is {slot_bytes}, of which this program's thread-local storage takes {} and the guard {guard_bytes}: \
             too little stack is left; take the next power of two",
            glibc.tls_below()
        ));
    }
    Ok(geometry)
}
