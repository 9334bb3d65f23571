//! Everything that a thread can wait for: it hears signals there, and goes on waiting.

use super::*;
use raddle::sync::channel::{self, bounded, unbounded};
use raddle::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, mpsc};
use raddle::time::Instant;

type Do = Box<dyn FnOnce() + Send>;

/// What is waited in, what waits, and what ends the wait.
struct Way(&'static str, Do, Do);

fn way(
    name: &'static str,
    wait: impl FnOnce() + Send + 'static,
    end: impl FnOnce() + Send + 'static,
) -> Way {
    Way(name, Box::new(wait), Box::new(end))
}

/// Something that a thread holds until it is told to let go.
fn held(hold: impl FnOnce(&dyn Fn()) + Send + 'static) -> impl FnOnce() + Send {
    let (let_go, told) = bounded::<()>(1);
    let (has, it_has) = bounded::<()>(1);
    let holder = thread::spawn(move || {
        hold(&|| {
            has.send(()).unwrap();
            told.recv().unwrap();
        });
    });
    it_has.recv().unwrap();
    move || {
        let_go.send(()).unwrap();
        holder.join().unwrap();
    }
}

fn ways() -> Vec<Way> {
    let mut ways = locks();
    ways.extend(channels());
    ways.extend(threads());
    ways
}

fn locks() -> Vec<Way> {
    let lock = Arc::new(Mutex::new(()));
    let (mine, theirs) = (lock.clone(), lock);
    let let_go = held(move |wait| {
        let _guard = mine.lock().unwrap();
        wait();
    });
    let mutex = way("mutex", move || drop(theirs.lock().unwrap()), let_go);

    let lock = Arc::new(RwLock::new(()));
    let (mine, theirs) = (lock.clone(), lock);
    let let_go = held(move |wait| {
        let _guard = mine.write().unwrap();
        wait();
    });
    let read = way("rwlock, read", move || drop(theirs.read().unwrap()), let_go);

    let lock = Arc::new(RwLock::new(()));
    let (mine, theirs) = (lock.clone(), lock);
    let let_go = held(move |wait| {
        let _guard = mine.read().unwrap();
        wait();
    });
    let write = way("rwlock, write", move || drop(theirs.write().unwrap()), let_go);

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let theirs = pair.clone();
    let condvar = way(
        "condvar",
        move || {
            let guard = theirs.0.lock().unwrap();
            drop(theirs.1.wait_while(guard, |is_done| !*is_done).unwrap());
        },
        move || {
            *pair.0.lock().unwrap() = true;
            pair.1.notify_one();
        },
    );

    let permits = Arc::new(Semaphore::new(0));
    let theirs = permits.clone();
    let semaphore =
        way("semaphore", move || theirs.acquire().forget(), move || permits.add_permits(1));

    let once = Arc::new(Once::new());
    let (mine, theirs) = (once.clone(), once);
    let let_go = held(move |wait| mine.call_once(wait));
    let once = way("once", move || theirs.call_once(|| unreachable!()), let_go);

    let barrier = Arc::new(Barrier::new(2));
    let theirs = barrier.clone();
    let barrier = way("barrier", move || _ = theirs.wait(), move || _ = barrier.wait());
    vec![mutex, read, write, condvar, semaphore, once, barrier]
}

fn channels() -> Vec<Way> {
    let mut ways = Vec::new();
    for (name, (sender, receiver)) in
        [("receive", unbounded()), ("receive, 2", bounded(2)), ("receive, 0", bounded(0))]
    {
        let wait = move || assert_eq!(receiver.recv(), Ok(1));
        ways.push(way(name, wait, move || sender.send(1).unwrap()));
    }
    for (name, capacity) in [("send, 1", 1), ("send, 0", 0)] {
        let (sender, receiver) = bounded(capacity);
        (0..capacity).for_each(|n| sender.send(n).unwrap());
        ways.push(way(
            name,
            move || sender.send(capacity).unwrap(),
            move || (0..=capacity).for_each(|n| assert_eq!(receiver.recv(), Ok(n))),
        ));
    }
    let (to_a, from_a) = bounded::<u32>(0);
    let (to_b, from_b) = bounded::<u32>(1);
    ways.push(way(
        "select",
        move || {
            raddle::select! {
                recv(from_a) -> _ => unreachable!("nothing was sent there"),
                recv(from_b) -> message => assert_eq!(message, Ok(2)),
            }
        },
        move || {
            to_b.send(2).unwrap();
            drop(to_a);
        },
    ));
    let (sender, receiver) = mpsc::channel();
    ways.push(way(
        "mpsc",
        move || assert_eq!(receiver.recv(), Ok(3)),
        move || sender.send(3).unwrap(),
    ));
    let (sender, receiver) = bounded::<u32>(0);
    ways.push(way(
        "the other side is gone",
        move || assert_eq!(receiver.recv(), Err(channel::RecvError)),
        move || drop(sender),
    ));
    ways
}

fn threads() -> Vec<Way> {
    let flag = Arc::new(AtomicBool::new(false));
    let (theirs, sees) = (flag.clone(), Arc::new(std::sync::Mutex::new(None)));
    let tells = sees.clone();
    let park = way(
        "park",
        move || {
            *tells.lock().unwrap() = Some(thread::current());
            thread::park();
            assert!(theirs.load(Acquire), "park returned without its token");
        },
        move || {
            flag.store(true, Release);
            sees.lock().unwrap().take().unwrap().unpark();
        },
    );
    let forever = Arc::new(Semaphore::new(0));
    let theirs = forever.clone();
    let joined = thread::spawn(move || theirs.acquire().forget());
    let join = way("join", move || joined.join().unwrap(), move || forever.add_permits(1));

    let forever = Arc::new(Semaphore::new(0));
    let theirs = forever.clone();
    let scope = way(
        "scope",
        move || {
            thread::scope(|scope| {
                scope.spawn(|| {
                    signal::set_handler(Signal::USR1, None);
                    theirs.acquire().forget();
                });
            });
        },
        move || forever.add_permits(1),
    );

    let forever = Arc::new(Semaphore::new(0));
    let theirs = forever.clone();
    let awaited = thread::spawn(move || theirs.acquire().forget());
    let future = way(
        "block_on",
        move || raddle::future::block_on(awaited).unwrap(),
        move || forever.add_permits(1),
    );
    vec![park, join, scope, future]
}

/// A thread that waits hears each signal, and the wait goes on.
pub fn everywhere() {
    for Way(name, wait, end) in ways() {
        let heard = Heard::new();
        let target = heard.listener(move |_| wait());
        for n in 1..=20 {
            if n % 4 == 1 {
                a_moment();
            }
            send(&target, Signal::USR1);
            heard.wait_for(n, name);
        }
        a_moment();
        assert!(!target.is_finished(), "{name}: a signal ended the wait");
        end();
        target.join().unwrap_or_else(|_| panic!("{name}: failed"));
        assert_eq!(heard.count(), 20, "{name}");
    }
}

/// However many signals come, the time is over when it is over.
pub fn deadlines_stay() {
    const TIME: Duration = Duration::from_millis(60);
    let forever = Arc::new(Semaphore::new(0));
    let pair = Arc::new((Mutex::new(()), Condvar::new()));
    let waits: [(&str, Do); 7] = [
        ("sleep", Box::new(|| thread::sleep(TIME))),
        ("time::sleep", Box::new(|| raddle::time::sleep(TIME))),
        ("park_timeout", Box::new(|| thread::park_timeout(TIME))),
        ("receive", {
            let (sender, receiver) = bounded::<u32>(0);
            Box::new(move || {
                assert!(receiver.recv_timeout(TIME).is_err());
                let _ = &sender;
            })
        }),
        ("semaphore", {
            let forever = forever.clone();
            Box::new(move || assert!(forever.acquire_timeout(TIME).is_none()))
        }),
        ("condvar", {
            Box::new(move || {
                let guard = pair.0.lock().unwrap();
                let result = pair.1.wait_timeout_while(guard, TIME, |()| true).unwrap().1;
                assert!(result.timed_out());
            })
        }),
        ("timeout", {
            Box::new(move || {
                let result = raddle::time::timeout(TIME, || forever.acquire().forget());
                assert!(result.is_err());
            })
        }),
    ];
    for (name, wait) in waits {
        let heard = Heard::new();
        let target = heard.listener(move |_| {
            let begun = Instant::now();
            wait();
            begun.elapsed()
        });
        let mut sent = 0;
        while !target.is_finished() && target.thread().send_signal(Signal::USR1).is_ok() {
            sent += 1;
            thread::sleep(Duration::from_micros(300));
        }
        let took = target.join().unwrap_or_else(|_| panic!("{name}: failed"));
        assert!(took >= TIME, "{name} ended after {took:?}");
        assert!(took < TIME * 20, "{name} ended after {took:?}");
        // None, if the sender did not get to run in time.
        let count = heard.count();
        assert!(count <= sent && (count > 0) == (sent > 0), "{name}: {count} of {sent}");
    }
}
