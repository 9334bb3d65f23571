//! The programs. `super` says whose threads and locks they use; nothing else in here tells the two apart.

#![allow(
    clippy::duplicate_mod,
    reason = "the same programs twice, which is what the test is about"
)]
#![allow(unsafe_code, reason = "spawn_unchecked")]

use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::mpsc::{
    self, RecvTimeoutError, SendError, SyncSender, TryRecvError, TrySendError,
};
use super::sync::{
    Arc, Barrier, BarrierWaitResult, Condvar, LazyLock, LockResult, Mutex, MutexGuard, Once,
    OnceLock, OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    TryLockResult, WaitTimeoutResult, Weak,
};
use super::thread::{
    self, AccessError, Builder, JoinHandle, LocalKey, Scope, ScopedJoinHandle, Thread, ThreadId,
};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(20);

/// A panic without a message on the terminal.
fn throw() -> ! {
    resume_unwind(Box::new("thrown"))
}

fn payload(result: thread::Result<impl Sized>) -> Option<&'static str> {
    result.err().and_then(|payload| payload.downcast_ref::<&str>().copied())
}

pub(crate) fn threads_and_handles() -> Vec<u64> {
    let mut handles: HashMap<u64, JoinHandle<u64>> =
        (0..20).map(|n| (n, thread::spawn(move || n * n))).collect();
    let mut results: Vec<u64> =
        (0..20).map(|n| handles.remove(&n).unwrap().join().unwrap()).collect();
    // A handle may be dropped without a word: many programs do.
    thread::spawn(|| ());
    let slow = thread::spawn(|| thread::sleep(SHORT));
    let was_finished = slow.is_finished();
    while !slow.is_finished() {
        thread::yield_now();
    }
    slow.join().unwrap();
    thread::sleep(Duration::ZERO);
    assert!(thread::available_parallelism().unwrap().get() > 0 && !thread::panicking());
    results.push(u64::from(was_finished));
    results
}

pub(crate) fn builders() -> (String, bool, bool, u32) {
    let builder = Builder::new().name("builder".to_owned()).stack_size(256 << 10);
    let handle: JoinHandle<String> =
        builder.spawn(|| thread::current().name().unwrap_or("none").to_owned()).unwrap();
    let (name, has_nul) =
        (handle.join().unwrap(), catch_unwind(|| Builder::new().name("a\0b".into()).spawn(|| ())));
    let mut local = 1;
    // SAFETY: the thread is joined before `local` goes.
    let unchecked = unsafe { Builder::new().spawn_unchecked(|| local += 1) };
    let is_well = unchecked.unwrap().join().is_ok();
    (name, is_well, !matches!(has_nul, Ok(Ok(_))), local)
}

fn spawn_in<'scope>(
    scope: &'scope Scope<'scope, '_>,
    text: &'scope str,
) -> ScopedJoinHandle<'scope, usize> {
    scope.spawn(|| text.len())
}

pub(crate) fn scopes() -> (Vec<usize>, usize, Option<&'static str>, bool) {
    let words = ["one", "three", "eleven"].map(str::to_owned);
    let mut total = 0;
    let lengths = thread::scope(|scope| {
        let handles: Vec<_> = words.iter().map(|word| spawn_in(scope, word)).collect();
        scope.spawn(|| scope.spawn(|| total += words.len()));
        let named =
            Builder::new().name("scoped".into()).spawn_scoped(scope, || thread::current().id());
        let named = named.unwrap();
        assert_eq!(named.thread().name(), Some("scoped"));
        let id = named.thread().id();
        while !named.is_finished() {
            thread::yield_now();
        }
        assert_eq!(named.join().unwrap(), id);
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let caught = thread::scope(|scope| payload(scope.spawn(|| throw()).join()));
    let unjoined = catch_unwind(|| thread::scope(|scope| drop(scope.spawn(|| throw()))));
    (lengths, total, caught, unjoined.is_err())
}

pub(crate) fn parking() -> (bool, bool) {
    let flag = Arc::new(AtomicUsize::new(0));
    let theirs = flag.clone();
    let parked = thread::spawn(move || {
        while theirs.load(Ordering::Acquire) == 0 {
            thread::park();
        }
    });
    flag.store(1, Ordering::Release);
    parked.thread().unpark();
    parked.join().unwrap();
    let begin = Instant::now();
    // An unpark that comes first is kept.
    thread::current().unpark();
    thread::park_timeout(LONG);
    let kept = begin.elapsed() < LONG;
    let begin = Instant::now();
    while begin.elapsed() < SHORT {
        thread::park_timeout(SHORT);
    }
    (kept, begin.elapsed() >= SHORT)
}

pub(crate) fn panics() -> (Option<&'static str>, Option<String>, bool) {
    struct InDrop(Arc<AtomicUsize>);
    impl Drop for InDrop {
        fn drop(&mut self) {
            self.0.fetch_add(usize::from(thread::panicking()), Ordering::Relaxed);
        }
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let guard = InDrop(seen.clone());
    let thrown = thread::spawn(move || {
        let _guard = guard;
        throw()
    });
    let thrown = payload(thrown.join());
    let formatted = thread::spawn(|| resume_unwind(Box::new(format!("number {}", 7)))).join();
    let formatted = formatted.unwrap_err().downcast::<String>().ok().map(|text| *text);
    (thrown, formatted, seen.load(Ordering::Relaxed) == 1)
}

pub(crate) fn names_and_ids() -> (Vec<Option<String>>, usize) {
    let handles: Vec<JoinHandle<ThreadId>> = [Some("first"), None, Some("third")]
        .into_iter()
        .map(|name| {
            let builder = name.map_or(Builder::new(), |name| Builder::new().name(name.into()));
            builder.spawn(|| thread::current().id()).unwrap()
        })
        .collect();
    let threads: Vec<Thread> = handles.iter().map(|handle| handle.thread().clone()).collect();
    let ids: HashSet<ThreadId> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
    assert!(threads.iter().all(|thread| ids.contains(&thread.id())));
    assert!(!ids.contains(&thread::current().id()));
    (threads.iter().map(|thread| thread.name().map(str::to_owned)).collect(), ids.len())
}

pub(crate) fn locals() -> (Vec<u32>, usize, bool) {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counted(RefCell<Vec<u32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(self.0.borrow().len(), Ordering::Relaxed);
        }
    }
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let gone: Result<(), AccessError> = COUNTED.try_with(|_| ());
            DROPPED.fetch_add(if gone.is_err() { 100 } else { 0 }, Ordering::Relaxed);
        }
    }
    thread_local! {
        static LATE: Late = const { Late };
        static COUNTED: Counted = const { Counted(RefCell::new(Vec::new())) };
        static CELL: Cell<u32> = const { Cell::new(1) };
        static NAMES: RefCell<Vec<String>> = RefCell::default();
    }
    fn bump(key: &'static LocalKey<Cell<u32>>) -> u32 {
        key.set(key.get() + 1);
        key.replace(key.get() * 2)
    }
    DROPPED.store(0, Ordering::Relaxed);
    let before = CELL.get();
    let bumped = thread::spawn(|| {
        LATE.with(|_| ());
        COUNTED.with(|counted| counted.0.borrow_mut().extend([1, 2, 3]));
        NAMES.with_borrow_mut(|names| names.push("a".into()));
        assert_eq!(NAMES.take().len() + NAMES.with_borrow(Vec::len), 1);
        (0..3).map(|_| bump(&CELL)).collect::<Vec<_>>()
    });
    let bumped = bumped.join().unwrap();
    (bumped, DROPPED.load(Ordering::Relaxed), CELL.get() == before)
}

fn add(mutex: &Mutex<u64>) -> LockResult<MutexGuard<'_, u64>> {
    let mut guard = mutex.lock()?;
    *guard += 1;
    Ok(guard)
}

pub(crate) fn mutexes() -> (u64, Vec<bool>) {
    static GLOBAL: Mutex<u64> = Mutex::new(0);
    *GLOBAL.lock().unwrap() = 0;
    let workers: Vec<_> = (0..4)
        .map(|_| thread::spawn(|| (0..500).for_each(|_| drop(add(&GLOBAL).unwrap()))))
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let mut own = Mutex::from(3);
    *own.get_mut().unwrap() += 1;
    let shared = Arc::new(own);
    let held = shared.lock().unwrap();
    let busy: TryLockResult<MutexGuard<'_, i32>> = shared.try_lock();
    let would_block = matches!(busy, Err(TryLockError::WouldBlock));
    drop((held, busy));
    let theirs = shared.clone();
    let _ = thread::spawn(move || {
        let _guard = theirs.lock().unwrap();
        throw()
    })
    .join();
    let was_poisoned = shared.is_poisoned();
    let tried = matches!(shared.try_lock(), Err(TryLockError::Poisoned(_)));
    let recovered = *shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.clear_poison();
    let unsized_: &Mutex<[u8]> = &Mutex::new([1, 2, 3]);
    let sum: u8 = unsized_.lock().unwrap().iter().sum();
    let inner = Arc::try_unwrap(shared).ok().unwrap().into_inner().unwrap();
    let facts = vec![would_block, was_poisoned, tried, recovered == 4, sum == 6, inner == 4];
    (*GLOBAL.lock().unwrap(), facts)
}

pub(crate) fn rwlocks() -> (u64, Vec<bool>) {
    let lock = Arc::new(RwLock::new(0u64));
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let lock = lock.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    if n == 0 {
                        *lock.write().unwrap() += 1;
                    } else {
                        assert!(*lock.read().unwrap() <= 200);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (first, second): (RwLockReadGuard<'_, u64>, _) = (lock.read().unwrap(), lock.try_read());
    let both = second.is_ok();
    let no_writer = matches!(lock.try_write(), Err(TryLockError::WouldBlock));
    drop((first, second));
    let mut guard: RwLockWriteGuard<'_, u64> = lock.write().unwrap();
    *guard += 1;
    let no_reader = lock.try_read().is_err();
    let downgraded = RwLockWriteGuard::downgrade(guard);
    let reads = lock.try_read().is_ok() && *downgraded == 201;
    drop(downgraded);
    let theirs = lock.clone();
    let _ = thread::spawn(move || {
        let _guard = theirs.write().unwrap();
        throw()
    })
    .join();
    let poisoned = lock.is_poisoned() && lock.read().is_err();
    lock.clear_poison();
    let mut lock = Arc::try_unwrap(lock).ok().unwrap();
    *lock.get_mut().unwrap() += 1;
    (lock.into_inner().unwrap(), vec![both, no_writer, no_reader, reads, poisoned])
}

pub(crate) fn condvars() -> Vec<u64> {
    static PAIR: (Mutex<Vec<u64>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());
    let (queue, changed) = &PAIR;
    queue.lock().unwrap().clear();
    let consumer = thread::spawn(move || {
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let mut queue =
                changed.wait_while(queue.lock().unwrap(), |queue| queue.is_empty()).unwrap();
            taken.append(&mut queue);
            changed.notify_all();
        }
        taken
    });
    for n in 0..20 {
        let mut guard = queue.lock().unwrap();
        while guard.len() > 3 {
            guard = changed.wait(guard).unwrap();
        }
        guard.push(n);
        changed.notify_one();
    }
    let mut taken = consumer.join().unwrap();
    let guard = queue.lock().unwrap();
    let (guard, result): (_, WaitTimeoutResult) = changed.wait_timeout(guard, SHORT).unwrap();
    taken.push(u64::from(result.timed_out()));
    let (_guard, result) =
        changed.wait_timeout_while(guard, SHORT, |queue| queue.is_empty()).unwrap();
    taken.push(u64::from(result.timed_out()));
    taken
}

pub(crate) fn barriers() -> (usize, usize) {
    let barrier = Arc::new(Barrier::new(5));
    let handles: Vec<JoinHandle<BarrierWaitResult>> = (0..4)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                barrier.wait();
                barrier.wait()
            })
        })
        .collect();
    barrier.wait();
    let mine = usize::from(barrier.wait().is_leader());
    let theirs = handles.into_iter().map(|handle| handle.join().unwrap());
    (mine + theirs.filter(BarrierWaitResult::is_leader).count(), 1)
}

pub(crate) fn onces() -> Vec<bool> {
    let once = Arc::new(Once::new());
    let theirs = once.clone();
    let waiter = thread::spawn(move || {
        theirs.wait_force();
        theirs.is_completed()
    });
    let thrown = catch_unwind(AssertUnwindSafe(|| once.call_once(|| throw()))).is_err();
    let poisoned = catch_unwind(AssertUnwindSafe(|| once.call_once(|| ()))).is_err();
    let mut forced = false;
    once.call_once_force(|state: &OnceState| forced = state.is_poisoned());
    once.wait();
    vec![thrown, poisoned, forced, once.is_completed(), waiter.join().unwrap()]
}

pub(crate) fn once_locks() -> (usize, Vec<bool>) {
    static PLACE: OnceLock<usize> = OnceLock::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let calls = calls.clone();
            thread::spawn(move || {
                *PLACE.get_or_init(|| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    42
                })
            })
        })
        .collect();
    let all_see_it = threads.into_iter().all(|thread| thread.join().unwrap() == 42);
    // The static keeps its value from one call of this program to the next.
    let once_at_most = calls.load(Ordering::Relaxed) <= 1;
    let mut own = OnceLock::new();
    let set = own.set("a".to_owned()).is_ok() && own.set("b".to_owned()).is_err();
    own.get_mut().unwrap().push('c');
    let (same, wait) = (own.clone() == own, own.wait().len());
    let taken = own.take();
    let from = OnceLock::from(7);
    let facts = vec![
        all_see_it,
        once_at_most,
        set,
        same,
        taken.as_deref() == Some("ac"),
        own.get().is_none(),
    ];
    (*PLACE.wait() + wait + from.into_inner().unwrap(), facts)
}

pub(crate) fn lazy_locks() -> (usize, Vec<bool>) {
    static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| "one two three".split(' ').collect());
    let counts = (0..4).map(|_| thread::spawn(|| WORDS.len())).map(|handle| handle.join().unwrap());
    let sum: usize = counts.sum::<usize>() + LazyLock::force(&WORDS).len();
    let mut own = LazyLock::new(|| vec![1, 2]);
    let not_yet = LazyLock::get(&own).is_none() && LazyLock::get_mut(&mut own).is_none();
    LazyLock::force_mut(&mut own).push(3);
    own.push(4);
    let made = LazyLock::get(&own).is_some_and(|all| all.len() == 4);
    LazyLock::get_mut(&mut own).unwrap().clear();
    let mut lost: LazyLock<u8> = LazyLock::new(|| throw());
    let throws = catch_unwind(AssertUnwindSafe(|| *lost)).is_err();
    let stays_lost = catch_unwind(AssertUnwindSafe(|| *lost)).is_err()
        && catch_unwind(AssertUnwindSafe(|| *LazyLock::force_mut(&mut lost))).is_err();
    let none = LazyLock::get(&lost).is_none() && LazyLock::get_mut(&mut lost).is_none();
    (sum, vec![not_yet, made, own.is_empty(), throws, stays_lost, none])
}

/// Numbers, squared and then summed, through two stages.
pub(crate) fn pipelines() -> (u64, Vec<u64>) {
    let (numbers, squarer) = mpsc::channel::<u64>();
    let (squares, summer) = mpsc::sync_channel(2);
    let squaring = thread::spawn(move || {
        for number in squarer {
            squares.send(number * number).unwrap();
        }
    });
    let senders: Vec<_> = (0..4)
        .map(|n| {
            let numbers = numbers.clone();
            thread::spawn(move || (n * 10..n * 10 + 10).for_each(|k| numbers.send(k).unwrap()))
        })
        .collect();
    drop(numbers);
    let mut all: Vec<u64> = summer.iter().collect();
    squaring.join().unwrap();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    all.sort_unstable();
    (all.iter().sum(), all)
}

fn first_of<T>(all: impl IntoIterator<Item = T>) -> Option<T> {
    all.into_iter().next()
}

/// Several at once, as one would do without a select: in turns, with a time-out.
pub(crate) fn receivers() -> (Vec<u32>, Vec<bool>) {
    let (to_a, from_a) = mpsc::channel();
    let (to_b, from_b) = mpsc::channel();
    let threads = [(to_a, 0), (to_b, 100)].map(|(to, base)| {
        thread::spawn(move || (base..base + 5).for_each(|n| to.send(n).unwrap()))
    });
    let (mut all, mut open) = (Vec::new(), vec![from_a, from_b]);
    while !open.is_empty() {
        open.retain(|from| {
            all.extend(from.try_iter());
            match from.recv_timeout(Duration::from_micros(100)) {
                Ok(n) => {
                    all.push(n);
                    true
                }
                Err(error) => error == RecvTimeoutError::Timeout,
            }
        });
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    all.sort_unstable();
    let (to, from) = mpsc::channel();
    let empty = from.try_recv() == Err(TryRecvError::Empty);
    to.send(1).unwrap();
    let by_reference = first_of(&from) == Some(1);
    drop(to);
    let closed = from.try_recv() == Err(TryRecvError::Disconnected)
        && from.recv().is_err()
        && from.recv_timeout(LONG) == Err(RecvTimeoutError::Disconnected);
    (all, vec![empty, by_reference, closed, from.into_iter().next().is_none()])
}

pub(crate) fn full_and_empty() -> (Vec<i32>, Vec<bool>) {
    let (to, from): (SyncSender<i32>, _) = mpsc::sync_channel(1);
    to.try_send(1).unwrap();
    let full = to.try_send(2) == Err(TrySendError::Full(2));
    let rendezvous = mpsc::sync_channel(0);
    let nobody = rendezvous.0.try_send(3) == Err(TrySendError::Full(3));
    let sender = thread::spawn(move || rendezvous.0.send(4));
    let met = rendezvous.1.recv();
    sender.join().unwrap().unwrap();
    let received = vec![from.recv().unwrap(), met.unwrap()];
    drop(from);
    let gone =
        to.send(5) == Err(SendError(5)) && to.try_send(6) == Err(TrySendError::Disconnected(6));
    (received, vec![full, nobody, gone])
}

pub(crate) fn errors() -> Vec<String> {
    let mutex = Mutex::new(());
    let poison = PoisonError::new(mutex.lock().unwrap());
    let poison = TryLockError::from(poison);
    let access = {
        thread_local!(static GONE: Cell<Option<String>> = const { Cell::new(None) });
        GONE.try_with(|gone| gone.take().is_none()).map_err(|error| error.to_string())
    };
    vec![
        poison.to_string(),
        TryLockError::<()>::WouldBlock.to_string(),
        SendError(1).to_string(),
        TrySendError::Full(1).to_string(),
        TrySendError::from(SendError(1)).to_string(),
        mpsc::RecvError.to_string(),
        TryRecvError::from(mpsc::RecvError).to_string(),
        TryRecvError::Empty.to_string(),
        RecvTimeoutError::from(mpsc::RecvError).to_string(),
        RecvTimeoutError::Timeout.to_string(),
        format!("{access:?}"),
    ]
}

/// What the compiler asks for where values are shared, sent, or caught panics may reach them.
pub(crate) fn auto_traits() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn unwind<T: UnwindSafe>() {}
    fn by_reference<T: RefUnwindSafe>() {}
    fn both<T: Send + Sync>() {
        send::<T>();
        sync::<T>();
    }
    fn safe<T: UnwindSafe + RefUnwindSafe>() {
        unwind::<T>();
        by_reference::<T>();
    }
    both::<JoinHandle<Cell<u8>>>();
    both::<(Thread, ThreadId, Builder)>();
    both::<(Mutex<Cell<u8>>, RwLock<u8>, Condvar, Barrier, Once)>();
    both::<(OnceLock<u8>, LazyLock<u8>, BarrierWaitResult, WaitTimeoutResult)>();
    both::<(mpsc::Sender<Cell<u8>>, SyncSender<Cell<u8>>)>();
    both::<(Arc<u8>, Weak<u8>)>();
    send::<(mpsc::Receiver<Cell<u8>>, mpsc::IntoIter<Cell<u8>>, OnceLock<Cell<u8>>)>();
    sync::<(MutexGuard<'_, u8>, RwLockReadGuard<'_, u8>, RwLockWriteGuard<'_, u8>)>();
    safe::<(Thread, ThreadId, Builder)>();
    safe::<(Mutex<Cell<u8>>, RwLock<Cell<u8>>, Condvar, Barrier, Once)>();
    safe::<(OnceLock<u8>, LazyLock<u8>, BarrierWaitResult, WaitTimeoutResult)>();
    safe::<(mpsc::Sender<u8>, SyncSender<u8>, mpsc::Receiver<u8>, mpsc::IntoIter<u8>)>();
    safe::<(mpsc::Iter<'_, u8>, mpsc::TryIter<'_, u8>)>();
    by_reference::<Scope<'_, '_>>();
    let waiting = thread::current();
    catch_unwind(|| waiting.unpark()).unwrap();
    thread::park();
}

/// Where raddle's say more than std's (how many wait), or std's change from one release to the next, they may differ.
pub(crate) fn debug_output() -> Vec<String> {
    let mutex = Mutex::new(1);
    let rwlock = RwLock::new("a");
    let lazy = LazyLock::new(|| 1);
    let mut all = vec![format!("{mutex:?} {mutex:#?} {rwlock:?} {lazy:?}")];
    LazyLock::force(&lazy);
    let (guard, write) = (mutex.lock().unwrap(), rwlock.write().unwrap());
    all.push(format!("{guard:?} {guard} {write:?} {write} {lazy:?}"));
    let read = RwLockWriteGuard::downgrade(write);
    all.push(format!("{read:?} {read} {:?} {:?}", OnceLock::<u8>::new(), OnceLock::from(1)));
    all.push(format!("{:?} {:?} {:?}", Barrier::new(2), Barrier::new(1).wait(), Once::new()));
    let (to, from) = mpsc::channel::<u8>();
    let (to_sync, _) = mpsc::sync_channel::<u8>(1);
    all.push(format!("{to:?} {to_sync:?} {from:?}"));
    all.push(format!("{:?} {:?}", SendError(1), TrySendError::Full(1)));
    all.push(format!("{:?} {:?}", Mutex::<u8>::default(), RwLock::<u8>::default()));
    let handle = Builder::new().name("shown".into()).spawn(|| ()).unwrap();
    let shown = format!("{:?} {:?}", handle.thread(), Builder::new());
    handle.join().unwrap();
    all.push(format!(
        "{} {}",
        shown.starts_with("Thread { id: ThreadId("),
        shown.contains("shown")
    ));
    all
}
