//! The same streams given to hyper: what both accept they read alike, and what only hyper accepts is refused here for a reason that stands on
//! a list.

mod model;
mod responder;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use model::streams;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::Direct;
use raddle_http::protocol::{Fault, Limits};
use responder::{Seen, answer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A client that has sent all it will ever send, and reads everything.
struct Client {
    stream: Vec<u8>,
    at: usize,
}

impl Read for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let count = buffer.remaining().min(self.stream.len() - self.at);
        buffer.put_slice(&self.stream[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The requests whose content hyper has read to the end.
fn read_by_hyper(stream: &[u8]) -> Vec<Seen> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let all = all.clone();
        async move {
            let (head, body) = request.into_parts();
            let field =
                |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                    (name.to_string(), value.as_bytes().to_vec())
                };
            if let Ok(body) = body.collect().await {
                let trailers = body.trailers().map_or(0, hyper::HeaderMap::len);
                all.lock().unwrap().push(Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    fields: head.headers.iter().map(field).collect(),
                    body: body.to_bytes().to_vec(),
                    trailers,
                });
            }
            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
        }
    });
    let client = Client { stream: stream.to_vec(), at: 0 };
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(client, service);
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    // Nothing here ever waits; hyper gives way to others now and then.
    for _ in 0..100_000 {
        if connection.as_mut().poll(&mut context).is_ready() {
            return std::mem::take(&mut all.lock().unwrap());
        }
    }
    panic!("hyper waits for something in {}", stream.escape_ascii());
}

/// In a form that both have in common: hyper keeps names in lower case, and fields of one name together.
fn normal(seen: &Seen) -> Seen {
    let mut fields: Vec<_> =
        seen.fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    Seen { fields, ..seen.clone() }
}

/// What hyper lets pass, and the RFCs, or this crate's own caution, do not.
const STRICTER: &[Fault] = &[
    Fault::BareLf,
    Fault::NoHost,
    Fault::TwoHosts,
    Fault::BadHost,
    Fault::TwoLengths,
    Fault::LengthAndCoding,
    Fault::UnknownCoding,
    Fault::BadCoding,
    Fault::BadExpectation,
    Fault::BadTarget,
    Fault::MethodTooLong,
    Fault::BadChunkSize,
    Fault::BadChunkExtension,
    Fault::NotHttp,
];

/// What this crate lets pass, because the RFCs say so, and hyper does not: higher minor versions, and empty elements in a list.
fn is_beyond_hyper(stream: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stream).to_lowercase();
    let versions = (2..10).any(|minor| text.contains(&format!("http/1.{minor}")));
    versions || text.contains("chunked ,") || text.contains("chunked,")
}

fn compare(stream: &[u8]) -> Result<(), TestCaseError> {
    let limits = Limits { discard: u64::MAX, chunk_extensions: 10_000, ..Limits::default() };
    let ours = answer(&limits, [stream]);
    let theirs = read_by_hyper(stream);
    for (ours, theirs) in ours.seen.iter().zip(&theirs) {
        prop_assert_eq!(normal(ours), normal(theirs), "{}", stream.escape_ascii());
    }
    if ours.seen.len() > theirs.len() {
        prop_assert!(is_beyond_hyper(stream), "hyper refuses {}", stream.escape_ascii());
    }
    if ours.seen.len() < theirs.len() {
        let is_known = ours.fault.is_some_and(|fault| STRICTER.contains(&fault));
        prop_assert!(is_known, "{:?}: hyper accepts {}", ours.fault, stream.escape_ascii());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(Direct("tests/hyper.proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn hyper_reads_alike(stream in streams()) {
        compare(&stream)?;
    }
}

#[test]
fn both_read_what_is_well_formed() {
    let stream = b"PUT /a?b HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\nhi\
        POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\nX: y\r\n\r\n\
        GET / HTTP/1.0\r\n\r\n";
    let theirs = read_by_hyper(stream);
    assert_eq!(theirs.len(), 3);
    assert_eq!((&theirs[1].body[..], theirs[1].trailers), (&b"ho"[..], 1));
    compare(stream).unwrap();
}
