//! Random streams, in random pieces, read as the model reads them.

mod model;
mod responder;

use model::{BODY_MAX, End, read, streams};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::Direct;
use raddle_http::protocol::{Fault, Limits};
use responder::{answer, limits};

/// Limits that nothing here meets.
fn wide() -> Limits {
    Limits {
        body_size: BODY_MAX as u64,
        discard: u64::MAX,
        chunk_extensions: 10_000,
        head_size: 1 << 20,
        target_size: 1 << 20,
        trailer_size: 1 << 20,
        ..Limits::default()
    }
}

/// The pieces between these places.
fn pieces<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.extend([0, stream.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

/// The server's side, given a stream in pieces, reads what the model reads.
fn agrees_with_the_model(stream: &[u8], cuts: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    // Forms of targets that the model does not know.
    let text = String::from_utf8_lossy(stream).into_owned();
    if text.contains("://") || text.contains('[') || text.contains("CONNECT") {
        return Ok(());
    }
    let (seen, end) = read(stream);
    let answer = answer(&wide(), pieces(stream, cuts));
    prop_assert_eq!(&answer.seen, &seen, "{}", stream.escape_ascii());
    let found = match answer.fault {
        None => End::Clean,
        Some(Fault::IncompleteHead | Fault::IncompleteBody) => End::Incomplete,
        Some(_) => End::Refused,
    };
    prop_assert_eq!(found, end, "{:?} in {}", answer.fault, stream.escape_ascii());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(Direct("tests/random.proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn streams_are_read_as_the_model_reads_them(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        agrees_with_the_model(&stream, &cuts)?;
    }

    #[test]
    fn who_asks_the_same_again_is_read_the_same(
        once in streams(),
        times in 2..5_usize,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream = once.repeat(times);
        agrees_with_the_model(&stream, &cuts)?;
    }

    #[test]
    fn answers_do_not_depend_on_pieces(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
    ) {
        let whole = answer(&limits(), [&stream[..]]);
        let cut = answer(&limits(), pieces(&stream, &cuts));
        prop_assert_eq!(whole, cut, "{}", stream.escape_ascii());
    }
}
