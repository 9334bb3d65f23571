//! `io::start_copy` and `fs::start_send_path`: they return at once, go on, and come to what the blocking calls come to.

mod io_kit;

use io_kit::{Kind, Scratch, a_moment, cases, main as run, pattern, until};
use raddle::cancel::Token;
use raddle::fs::{self, File};
use raddle::io::{self, Completion, ErrorKind, Read, Seek, Source, Write};
use raddle::net::UnixStream;
use raddle::{future, thread};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    run(cases![
        a_copy_goes_on_by_itself_and_gives_its_ends_back,
        a_file_is_sent_by_itself,
        who_waits_for_a_while_gets_it_back,
        several_are_awaited_as_futures,
        dropped_it_goes_on_to_its_end,
        cancelled_it_ends_and_closes,
        a_token_of_its_starter_reaches_it,
        a_token_of_its_waiter_does_not_reach_it,
        errors_are_those_of_the_calls_that_block,
        a_panic_comes_out_where_it_is_waited_for,
        hundreds_at_once,
    ])
}

fn a_copy_goes_on_by_itself_and_gives_its_ends_back(_: Kind) {
    let scratch = Scratch::new();
    let file = File::create(scratch.0.join("target")).unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    let copying = io::start_copy(reader.take(100_000), file);
    assert!(!copying.is_done());
    writer.write_all(&pattern(100_000)).unwrap();
    until(|| copying.is_done());
    let (count, part, mut file) = copying.wait().unwrap();
    assert_eq!((count, part.limit()), (100_000, 0));
    assert_eq!(file.stream_position().unwrap(), 100_000);
    writer.write_all(b"more").unwrap();
    drop(writer);
    let (count, ..) = io::start_copy(part.into_inner(), file).wait().unwrap();
    assert_eq!(count, 4);
    let expected = [&pattern(100_000)[..], b"more"].concat();
    assert!(std::fs::read(scratch.0.join("target")).unwrap() == expected);
}

fn a_file_is_sent_by_itself(_: Kind) {
    let scratch = Scratch::new();
    let content = pattern(3_000_000);
    let path = scratch.file("file", &content);
    io_kit::make_cold(&path);
    let (here, mut there) = UnixStream::pair().unwrap();
    let sending = fs::start_send_path(b"header", &path, here);
    a_moment();
    assert!(!sending.is_done(), "nobody has read");
    let mut bytes = vec![0; 3_000_006];
    there.read_exact(&mut bytes).unwrap();
    let (count, here) = sending.wait().unwrap();
    assert_eq!(count, 3_000_006);
    assert!(bytes[..6] == *b"header" && bytes[6..] == content);
    drop(here);
    assert_eq!(there.read(&mut bytes).unwrap(), 0);
}

fn who_waits_for_a_while_gets_it_back(_: Kind) {
    let (reader, writer) = io::pipe().unwrap();
    let mut copying = io::start_copy(reader, Vec::new());
    for _ in 0..3 {
        copying = copying.wait_timeout(Duration::from_millis(2)).unwrap_err();
    }
    (&writer).write_all(b"at last").unwrap();
    drop(writer);
    let (count, _, bytes) = copying.wait_timeout(Duration::from_secs(30)).unwrap().unwrap();
    assert_eq!((count, &bytes[..]), (7, &b"at last"[..]));
    // On another thread than before.
    let (reader, writer) = io::pipe().unwrap();
    let copying = io::start_copy(reader, io::sink());
    let copying = copying.wait_timeout(Duration::from_millis(1)).unwrap_err();
    let waiting = thread::spawn(move || copying.wait().unwrap().0);
    drop(writer);
    assert_eq!(waiting.join().unwrap(), 0);
}

fn several_are_awaited_as_futures(_: Kind) {
    let (pipes, writers): (Vec<_>, Vec<_>) = (0..5).map(|_| io::pipe().unwrap()).unzip();
    let copies: Vec<_> =
        pipes.into_iter().map(|reader| io::start_copy(reader, Vec::new())).collect();
    // The last one first.
    let feeding = thread::spawn(move || {
        for (index, mut writer) in writers.into_iter().enumerate().rev() {
            a_moment();
            writer.write_all(&vec![index as u8; index]).unwrap();
        }
    });
    let all = future::block_on(async {
        let mut all = Vec::new();
        for copy in copies {
            all.push(copy.await.unwrap().2);
        }
        all
    });
    assert!(all.iter().enumerate().all(|(index, bytes)| *bytes == vec![index as u8; index]));
    feeding.join().unwrap();
}

fn dropped_it_goes_on_to_its_end(_: Kind) {
    let scratch = Scratch::new();
    let content = pattern(2_000_000);
    let path = scratch.file("file", &content);
    let (here, mut there) = UnixStream::pair().unwrap();
    drop(fs::start_send_path(b"", path, here));
    let mut bytes = Vec::new();
    // To the end: its ends are closed afterwards.
    there.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content);
}

/// What it comes to when it was cancelled.
fn is_cancelled<T>(completion: Completion<T>) -> bool {
    completion.wait().is_err_and(|error| error.raw_os_error() == Some(libc::ECANCELED))
}

fn cancelled_it_ends_and_closes(_: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(5_000_000));
    let (here, mut there) = UnixStream::pair().unwrap();
    let sending = fs::start_send_path(b"header", path, here);
    let mut bytes = [0; 6];
    there.read_exact(&mut bytes).unwrap();
    sending.cancel();
    assert!(is_cancelled(sending));
    let mut rest = Vec::new();
    there.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 5_000_000, "it was sent although nobody had read");
    // What is done stays done.
    let done = io::start_copy(&b"short"[..], Vec::new());
    until(|| done.is_done());
    done.cancel();
    assert_eq!(done.wait().unwrap().0, 5);
}

fn a_token_of_its_starter_reaches_it(_: Kind) {
    let token = Token::new();
    let (reader, _writer) = io::pipe().unwrap();
    let copying = token.carry(|| io::start_copy(reader, io::sink())).unwrap();
    a_moment();
    assert!(!copying.is_done());
    token.cancel();
    assert!(is_cancelled(copying));
}

fn a_token_of_its_waiter_does_not_reach_it(kind: Kind) {
    let (token, (reader, mut writer)) = (Token::new(), io::pipe().unwrap());
    let (here, mut there) = UnixStream::pair().unwrap();
    let copying = io::start_copy(reader, here);
    let waiting = io_kit::start(kind, {
        let token = token.clone();
        move || token.carry(|| copying.wait().map(drop)).is_err()
    });
    a_moment();
    token.cancel();
    assert!(waiting.join());
    writer.write_all(b"it goes on").unwrap();
    drop(writer);
    let mut text = String::new();
    there.read_to_string(&mut text).unwrap();
    assert_eq!(text, "it goes on");
}

fn errors_are_those_of_the_calls_that_block(_: Kind) {
    let scratch = Scratch::new();
    let (here, there) = UnixStream::pair().unwrap();
    let nothing = scratch.0.join("nothing");
    let error = fs::start_send_path(b"", nothing, here).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!((&there).read(&mut [0]).unwrap(), 0, "the socket is closed");
    let (here, _there) = UnixStream::pair().unwrap();
    here.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let error = io::start_copy(here, io::sink()).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

fn a_panic_comes_out_where_it_is_waited_for(kind: Kind) {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }
    impl Source for Panics {}
    let joined = match kind {
        Kind::Raddle => {
            thread::spawn(|| io::start_copy(Panics, io::sink()).wait().map(drop)).join()
        }
        Kind::Kernel => {
            std::thread::spawn(|| future::block_on(io::start_copy(Panics, io::sink())).map(drop))
                .join()
        }
    };
    assert_eq!(joined.unwrap_err().downcast_ref(), Some(&"on purpose"));
}

fn hundreds_at_once(_: Kind) {
    let scratch = Scratch::new();
    let content = pattern(100_000);
    let path = scratch.file("file", &content);
    let (sending, receiving): (Vec<_>, Vec<_>) = (0..300)
        .map(|_| {
            let (here, there) = UnixStream::pair().unwrap();
            let sending = fs::start_send_path(b"", &path, here);
            (sending, io::start_copy(there.take(100_000), Vec::new()))
        })
        .unzip();
    for (sending, receiving) in sending.into_iter().zip(receiving) {
        assert_eq!(sending.wait().unwrap().0, 100_000);
        let (count, _, bytes) = receiving.wait().unwrap();
        assert!(count == 100_000 && bytes == content);
    }
}
