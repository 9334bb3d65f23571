//! What a kernel refuses is done in another way: nothing is lost, and nothing comes twice.

use crate::ends::{From, To};
use crate::io_kit::{Everywhere, Kind, cases, refuse};
use crate::{all_pairs_of_ends, copy_and_look};
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

pub(crate) fn cases() -> Vec<Everywhere> {
    let named = |mut case: Everywhere, name, before| {
        case.name = name;
        case.with_filter(before)
    };
    let all = || cases![all_pairs_of_ends].remove(0);
    let half = || cases![halfway].remove(0);
    vec![
        named(all(), "all_pairs_without_copy_file_range", || {
            refuse(libc::SYS_copy_file_range, libc::EXDEV, vec![]);
        }),
        named(all(), "all_pairs_without_splice", || refuse(libc::SYS_splice, libc::EINVAL, vec![])),
        named(all(), "all_pairs_with_a_buffer_only", || {
            refuse(libc::SYS_copy_file_range, libc::ENOSYS, vec![]);
            refuse(libc::SYS_sendfile, libc::EPERM, vec![]);
            refuse(libc::SYS_splice, libc::EOPNOTSUPP, vec![]);
        }),
        // Each call says how much it wants, at most the rest: which becomes less.
        named(half(), "copy_file_range_is_refused_halfway", || {
            refuse(libc::SYS_copy_file_range, libc::EINVAL, below(4, 350_000));
        }),
        named(half(), "files_are_refused_halfway_twice", || {
            refuse(libc::SYS_copy_file_range, libc::EOPNOTSUPP, below(4, 350_000));
            refuse(libc::SYS_sendfile, libc::EINVAL, below(3, 150_000));
        }),
        named(half(), "splice_is_refused_halfway", || {
            refuse(libc::SYS_splice, libc::EINVAL, below(4, 400_000));
        }),
    ]
}

/// Where the argument with that index is less than `limit`.
fn below(argument: u8, limit: u64) -> Vec<SeccompRule> {
    let length = SeccompCmpArgLen::Qword;
    let is_below = SeccompCondition::new(argument, length, SeccompCmpOp::Lt, limit);
    vec![SeccompRule::new(vec![is_below.expect("an argument")]).expect("a rule")]
}

fn halfway(kind: Kind) {
    let is_direct = |from: &From| !matches!(from, From::Memory | From::Plain);
    for from in From::ALL.into_iter().filter(is_direct) {
        for to in To::ALL.into_iter().filter(|to| !matches!(to, To::Memory | To::Plain)) {
            // A limit, so that each call wants the rest.
            copy_and_look(kind, from, to, 600_000, Some(600_000));
        }
    }
}
