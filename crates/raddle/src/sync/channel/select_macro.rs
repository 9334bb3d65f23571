//! `select!`: a select whose operations are known when the program is written.
//!
//! It gathers the cases one by one, gives each a name and a number, and then writes
//!
//! ```text
//!   match (&receiver, &sender, ...) { (a0, a1, ...) => {        // temporaries live as long as the select does
//!       match run(&mut [Arm::recv(a0, 0), Arm::send(a1, 1), ...], until, biased) {
//!           Some(selected) => match selected.index() { 0 => { let pattern = selected.recv(a0); body } ... }
//!           None => default
//! ```
//!
//! Bodies stand in no closure, so `break`, `continue`, `return` and `?` do what they seem to.

/// Waits until one of several operations can be done, does it, and runs its body. Of several that can be done, any is taken.
///
/// - `recv(receiver) -> result => body`: `result` is a pattern for a `Result<T, RecvError>`.
/// - `send(sender, message) -> result => body`: for a `Result<(), SendError<T>>`. `message` is computed once
///   the operation is selected.
/// - `default => body`: if none can be done at once.
/// - `default(timeout) => body`: if none can be done in time; `timeout` is a `Duration`.
///
/// An operation on a channel whose other side is gone can be done: it gives an error.
///
/// # Panics
///
/// With no operations and no `default`, as nothing could ever happen.
///
/// ```
/// use raddle::{select, sync::channel, thread, time::Duration};
/// let (numbers, from_numbers) = channel::bounded(0);
/// let (words, from_words) = channel::unbounded();
/// thread::spawn(move || numbers.send(7));
/// thread::spawn(move || words.send("seven"));
/// for _ in 0..2 {
///     select! {
///         recv(from_numbers) -> number => assert_eq!(number, Ok(7)),
///         recv(from_words) -> word => assert_eq!(word, Ok("seven")),
///         default(Duration::from_secs(10)) => panic!("nobody has sent"),
///     }
///     if from_words.is_empty() {
///         break;
///     }
/// }
/// ```
#[macro_export]
macro_rules! select {
    ($($cases:tt)*) => { $crate::__raddle_select!(false, $($cases)*) };
}

/// As [`select!`](crate::select), but of several operations that can be done, the first is taken.
///
/// ```
/// use raddle::{select_biased, sync::channel};
/// let (urgent, from_urgent) = channel::unbounded();
/// let (other, from_other) = channel::unbounded();
/// other.send(1).unwrap();
/// urgent.send(2).unwrap();
/// let first = select_biased! {
///     recv(from_urgent) -> number => number,
///     recv(from_other) -> number => number,
/// };
/// assert_eq!(first, Ok(2));
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($cases:tt)*) => { $crate::__raddle_select!(true, $($cases)*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __raddle_select {
    // Gathered: the cases, then what happens if none of them does.
    (@run $biased:expr, $until:expr, $none:expr,
     [$($name:ident $number:literal $kind:ident ($end:expr) ($($message:expr)?) $result:pat, $body:expr;)*]) => {
        match ($(&$end,)*) {
            ($($name,)*) => {
                let selected = {
                    let arms: &mut [$crate::sync::channel::Arm<'_>] =
                        &mut [$($crate::sync::channel::Arm::$kind($name, $number),)*];
                    $crate::sync::channel::run(arms, $until, $biased)
                };
                match selected {
                    $(::core::option::Option::Some(selected) if selected.index() == $number => {
                        let $result = selected.$kind($name, $($message)?);
                        $body
                    })*
                    ::core::option::Option::Some(_) => ::core::unreachable!(),
                    ::core::option::Option::None => $none,
                }
            }
        }
    };

    // The end, without a default.
    (@gather $biased:expr, $names:tt []) => {
        ::core::compile_error!("a select needs an operation or a `default`")
    };
    (@gather $biased:expr, $names:tt $cases:tt) => {
        $crate::__raddle_select!(@run $biased, $crate::sync::channel::Until::Deadline(::core::option::Option::None),
            ::core::unreachable!(), $cases)
    };

    // A default: it is the last.
    (@gather $biased:expr, $names:tt $cases:tt default $(())? => $body:expr $(,)?) => {
        $crate::__raddle_select!(@run $biased, $crate::sync::channel::Until::Now, $body, $cases)
    };
    (@gather $biased:expr, $names:tt $cases:tt default($timeout:expr) => $body:expr $(,)?) => {
        $crate::__raddle_select!(@run $biased, $crate::sync::channel::Until::within($timeout), $body, $cases)
    };

    // An operation. A block needs no comma behind it.
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     recv($end:expr $(,)?) -> $result:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number recv ($end) () $result, $body;] $($($rest)*)?)
    };
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     recv($end:expr $(,)?) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number recv ($end) () $result, $body;] $($rest)*)
    };
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     recv($end:expr $(,)?) -> $result:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number recv ($end) () $result, $body;] $($($rest)*)?)
    };
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     send($end:expr, $message:expr $(,)?) -> $result:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number send ($end) ($message) $result, $body;] $($($rest)*)?)
    };
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     send($end:expr, $message:expr $(,)?) -> $result:pat => $body:block $($rest:tt)*) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number send ($end) ($message) $result, $body;] $($rest)*)
    };
    (@gather $biased:expr, [$name:ident $number:literal, $($names:tt)*] [$($cases:tt)*]
     send($end:expr, $message:expr $(,)?) -> $result:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__raddle_select!(@gather $biased, [$($names)*]
            [$($cases)* $name $number send ($end) ($message) $result, $body;] $($($rest)*)?)
    };
    (@gather $biased:expr, [] $cases:tt $($rest:tt)+) => {
        ::core::compile_error!("a select! has at most 24 operations; `Select` takes more")
    };
    (@gather $biased:expr, $names:tt $cases:tt $($rest:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "not a case of a select!: `", ::core::stringify!($($rest)+), "`; write `recv(r) -> v => ..`, ",
            "`send(s, x) -> r => ..`, or, last, `default => ..` or `default(timeout) => ..`"
        ))
    };

    ($biased:expr, $($cases:tt)*) => {
        $crate::__raddle_select!(@gather $biased,
            [a0 0, a1 1, a2 2, a3 3, a4 4, a5 5, a6 6, a7 7, a8 8, a9 9, a10 10, a11 11,
             a12 12, a13 13, a14 14, a15 15, a16 16, a17 17, a18 18, a19 19, a20 20, a21 21, a22 22, a23 23,]
            [] $($cases)*)
    };
}
