//! A web server of hyper's, with what hyper offers for speed: answers to pipelined requests go out together.

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use raddle_bench::process;
use raddle_bench::subject::{self, Arguments, Said};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) fn serve(runtime: &Runtime, arguments: &Arguments) -> Result<Said, String> {
    process::raise_descriptors();
    let folder: &'static Path = PathBuf::from(arguments.text("folder")).leak();
    // On a worker, where it is cheaper to be than outside of them.
    let server = runtime.spawn(listen(folder));
    let ended = runtime.block_on(server);
    Err(format!("hyper's listener has ended: {ended:?}"))
}

async fn listen(folder: &'static Path) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    subject::serves(listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        // The client may have gone already.
        _ = stream.set_nodelay(true);
        tokio::spawn(converse(TokioIo::new(stream), folder));
    }
}

/// Until the client has gone, in whatever way.
async fn converse(stream: impl Read + Write + Unpin, folder: &'static Path) {
    let answer = service_fn(move |request| answer(request, folder));
    let mut connection = http1::Builder::new();
    _ = connection.pipeline_flush(true).serve_connection(stream, answer).await;
}

async fn answer(
    request: Request<Incoming>,
    folder: &Path,
) -> Result<Response<Content>, Infallible> {
    let path = request.uri().path();
    let content = match path {
        "/hello" => Ok(Content::Bytes(Some(Bytes::from_static(b"Hello, World!")))),
        // The driver asks for what it has made: nothing has to be cleaned.
        file => Content::of_file(&folder.join(file.trim_start_matches('/'))).await,
    };
    let mut response = match content {
        Ok(content) => Response::new(content),
        Err(_) => {
            let mut response = Response::new(Content::Bytes(None));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// What is sent: hyper knows no files.
enum Content {
    Bytes(Option<Bytes>),
    File { file: File, left: u64 },
}

/// As much is read at once as `tower-http` reads, which most servers on hyper give their files out by.
const CHUNK: usize = 64 * 1024;

impl Content {
    async fn of_file(path: &Path) -> io::Result<Content> {
        let mut file = File::open(path).await?;
        file.set_max_buf_size(CHUNK);
        let left = file.metadata().await?.len();
        Ok(Content::File { file, left })
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Content::Bytes(bytes) => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
            Content::File { left: 0, .. } => Poll::Ready(None),
            Content::File { file, left } => {
                let mut chunk = vec![0; CHUNK.min(usize::try_from(*left).unwrap_or(CHUNK))];
                let mut read = ReadBuf::new(&mut chunk);
                ready!(Pin::new(file).poll_read(context, &mut read))?;
                let count = read.filled().len();
                if count == 0 {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                chunk.truncate(count);
                *left -= count as u64;
                Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Content::Bytes(None) | Content::File { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::File { left, .. } => SizeHint::with_exact(*left),
        }
    }
}
