//! `#[raddle::test]` runs its body as a raddle thread, and a test that returns an error fails.

use raddle::thread;

#[raddle::test]
fn the_body_is_a_thread_with_a_name() {
    assert_eq!(thread::current().name(), Some("main"));
}

#[raddle::test(cores = 2)]
fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!("7".parse::<i32>()?, 7);
    Ok(())
}

#[raddle::test]
#[should_panic(expected = "the test returned an error")]
fn an_error_fails_the_test() -> Result<(), std::num::ParseIntError> {
    "seven".parse::<i32>().map(drop)
}

#[raddle::test]
#[should_panic(expected = "on purpose")]
fn a_panic_fails_the_test() {
    panic!("on purpose");
}
