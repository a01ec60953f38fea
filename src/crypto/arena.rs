//! Memory for secrets: locked, left out of core dumps, wiped when given back.
#![allow(unsafe_code)] // Hands out slots of memory that comes straight from the kernel.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

use crate::error::{Result, fail};
use crate::sys::fork;
use crate::sys::memory::Pages;

/// Slots of four sizes: keys, AES schedules of AWS-LC, its AES-GCM contexts, schedules of the pure Rust AES.
const SIZES: [usize; 4] = [64, 256, 768, 1280];
/// All but the keys' slots keep off each other's cache lines, which the CPU fetches in pairs.
const ALIGNMENTS: [usize; 4] = [64, 128, 128, 128];
const CHUNK: usize = 32 * 1024;

/// Where keys live. One for each engine; many small slots in a few locked chunks, since the system's limit
/// (`RLIMIT_MEMLOCK`) counts whole pages.
///
/// A child made by `fork` works on with its own copy. That copy is left out of core dumps too, but it is not
/// locked: the kernel gives `mlock` to the parent alone.
pub struct Arena {
    require_locked: bool,
    state: Mutex<State>,
    unlocked: AtomicUsize,
    warning: Mutex<Option<String>>,
}

#[derive(Default)]
struct State {
    chunks: Vec<Pages>,
    /// Wiped and unused, for each size. Has room for every slot there is: giving one back allocates nothing.
    free: [Vec<NonNull<u8>>; 4],
    slots: [usize; 4],
}

// SAFETY: the pointers are to memory of the process that `chunks` owns, bound to no thread.
unsafe impl Send for State {}

impl Arena {
    /// An arena without any memory yet. Where memory can't be locked, taking a slot fails with
    /// `require_locked`; without, it works, is counted, and leaves a warning.
    pub fn new(require_locked: bool) -> Arc<Arena> {
        Arc::new(Arena {
            require_locked,
            state: Mutex::default(),
            unlocked: AtomicUsize::new(0),
            warning: Mutex::new(None),
        })
    }

    /// How many chunks (of 32 KiB) could not be locked or kept out of core dumps.
    pub fn unlocked_chunks(&self) -> usize {
        self.unlocked.load(Ordering::Relaxed)
    }

    /// What is to be logged, once, when the first chunk could not be locked.
    pub fn take_warning(&self) -> Option<String> {
        if self.unlocked_chunks() == 0 {
            return None;
        }
        let _no_fork = fork::no_fork();
        lock(&self.warning).take()
    }

    /// A slot of zeros with at least `size` bytes.
    pub(super) fn slot(self: &Arc<Arena>, class: usize) -> Result<Slot> {
        // A child must not find the free list half changed, or its lock taken for ever.
        let _no_fork = fork::no_fork();
        let mut state = lock(&self.state);
        if state.free[class].is_empty() {
            self.grow(&mut state, class)?;
        }
        let start = state.free[class].pop().ok_or_else(|| fail!(Internal, "a new chunk has no slot"))?;
        Ok(Slot { start, class, arena: Arc::clone(self) })
    }

    fn grow(&self, state: &mut State, class: usize) -> Result<()> {
        let chunk = Pages::map(CHUNK)
            .map_err(|e| fail!(Internal, "no memory for keys: mmap of {CHUNK} bytes failed: {e}"))?;
        if let Err(error) = chunk.exclude_from_dumps().and_then(|()| chunk.lock()) {
            if self.require_locked {
                return Err(fail!(
                    Config,
                    "memory for keys can't be locked ({error}): raise RLIMIT_MEMLOCK (ulimit -l) or set \
                     cache.require_locked_memory: false"
                ));
            }
            if self.unlocked.fetch_add(1, Ordering::Relaxed) == 0 {
                *lock(&self.warning) = Some(format!(
                    "memory for keys can't be locked ({error}) and may be swapped to disk: raise \
                     RLIMIT_MEMLOCK (ulimit -l), or set cache.require_locked_memory: true to refuse this"
                ));
            }
        }
        let count = CHUNK / SIZES[class];
        state.slots[class] += count;
        let (free, slots) = (&mut state.free[class], state.slots[class]);
        free.reserve_exact(slots - free.len());
        // SAFETY: `number * size` stays within the chunk.
        free.extend((0..count).rev().map(|number| unsafe { chunk.start().add(number * SIZES[class]) }));
        state.chunks.push(chunk);
        Ok(())
    }

    fn give_back(&self, start: NonNull<u8>, class: usize) {
        // SAFETY: the slot's owner is being dropped, so nothing else refers to these bytes of our chunk.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), SIZES[class]) }.zeroize();
        let _no_fork = fork::no_fork();
        lock(&self.state).free[class].push(start);
    }

    /// How many bytes that are not zero all chunks hold: none, when no secret is left.
    #[cfg(test)]
    pub(crate) fn bytes_in_use(&self) -> usize {
        let state = lock(&self.state);
        let bytes = |chunk: &Pages| {
            // SAFETY: a chunk of our own; tests call this while no slot is being written.
            let chunk = unsafe { std::slice::from_raw_parts(chunk.start().as_ptr(), CHUNK) };
            chunk.iter().filter(|byte| **byte != 0).count()
        };
        state.chunks.iter().map(bytes).sum()
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("require_locked", &self.require_locked)
            .field("unlocked_chunks", &self.unlocked_chunks())
            .finish_non_exhaustive()
    }
}

/// A panic can't leave the free list half changed, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest class of slots that holds `size` bytes with this alignment.
pub(super) const fn class_of(size: usize, align: usize) -> usize {
    let mut class = 0;
    while SIZES[class] < size || ALIGNMENTS[class] < align {
        class += 1;
    }
    class
}

/// Memory of its own within an arena: zeros at first, wiped and given back when dropped.
pub(super) struct Slot {
    start: NonNull<u8>,
    class: usize,
    arena: Arc<Arena>,
}

// SAFETY: the slot's memory belongs to the process and to this slot alone.
unsafe impl Send for Slot {}
// SAFETY: shared references only give the address.
unsafe impl Sync for Slot {}

impl Slot {
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.arena.give_back(self.start, self.class);
    }
}

/// A value that is made, lives and dies in an arena, and is wiped when dropped.
pub struct Locked<T> {
    /// Typed address of the slot.
    value: NonNull<T>,
    slot: Slot,
}

// SAFETY: it owns its value, as a Box does.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: it gives out shared and exclusive references as a Box does.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Makes a value in its place, so that no copy is left elsewhere. `init` returns the reference that
    /// [`MaybeUninit::write`] or `assume_init_mut` gives it for its argument.
    pub fn new(
        arena: &Arc<Arena>,
        init: impl for<'a> FnOnce(&'a mut MaybeUninit<T>) -> Result<&'a mut T>,
    ) -> Result<Locked<T>> {
        let slot = arena.slot(const { class_of(size_of::<T>(), align_of::<T>()) })?;
        let mut value = slot.start().cast::<T>();
        // SAFETY: the slot is large enough and aligned for T by its class, and nobody else refers to it.
        let place = unsafe { &mut *value.as_ptr().cast::<MaybeUninit<T>>() };
        // That the reference is to the slot proves that `init` has made the value there.
        if !std::ptr::eq(init(place)?, value.as_ptr()) {
            return Err(fail!(Internal, "a locked value was made outside its slot"));
        }
        // SAFETY: initialised, as just found.
        let value = NonNull::from(unsafe { value.as_mut() });
        Ok(Locked { value, slot })
    }

    /// The arena that it lives in.
    pub fn arena(&self) -> &Arc<Arena> {
        self.slot.arena()
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: initialised by `new`, alive as long as `self`.
        unsafe { self.value.as_ref() }
    }
}

impl<T> std::ops::DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as `deref`, and `self` is borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: initialised, and never used again; `slot` is dropped, and wiped, after this.
        unsafe { self.value.drop_in_place() };
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}
