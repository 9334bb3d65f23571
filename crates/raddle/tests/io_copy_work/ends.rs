//! Ends of all kinds, which know what is to be found at them afterwards.

use crate::io_kit::{Kind, Scratch, Started, start};
use raddle::fs::File;
use raddle::io::{
    self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Source, Target, Write,
};
use raddle::net::{TcpListener, TcpStream, UnixStream};
use std::sync::{Arc, Mutex};

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    File,
    StdFile,
    /// A file behind two buffers that have read ahead.
    ReadAhead,
    Pipe,
    Fifo,
    Tcp,
    Unix,
    Memory,
    /// It knows no short cut, and is interrupted now and then.
    Plain,
}

/// Where bytes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    File,
    StdFile,
    /// Opened to append.
    Log,
    /// A file behind a buffer that has something in it.
    Behind,
    Pipe,
    Tcp,
    Unix,
    Memory,
    /// It knows no short cut, and takes a little at a time.
    Plain,
}

impl From {
    pub(crate) const ALL: [From; 9] = [
        From::File,
        From::StdFile,
        From::ReadAhead,
        From::Pipe,
        From::Fifo,
        From::Tcp,
        From::Unix,
        From::Memory,
        From::Plain,
    ];

    /// An end that has `content` to give.
    pub(crate) fn open(self, content: &[u8], kind: Kind, scratch: &Scratch) -> Box<dyn Source> {
        /// Of a file, what was read before.
        const BEFORE: &[u8] = b"read before";
        let whole = || scratch.file("source", &[BEFORE, content].concat());
        let at = SeekFrom::Start(BEFORE.len() as u64);
        match self {
            From::File => {
                let mut file = File::open(whole()).unwrap();
                file.seek(at).unwrap();
                Box::new(file)
            }
            From::StdFile => {
                let mut file = std::fs::File::open(whole()).unwrap();
                file.seek(at).unwrap();
                Box::new(file)
            }
            From::ReadAhead => {
                let mut file = BufReader::with_capacity(500, File::open(whole()).unwrap());
                file.read_exact(&mut [0; BEFORE.len()]).unwrap();
                let mut outer = BufReader::with_capacity(100, file);
                outer.fill_buf().unwrap();
                Box::new(outer)
            }
            From::Pipe => {
                let (reader, writer) = io::pipe().unwrap();
                feed(content, writer, kind);
                Box::new(reader)
            }
            From::Fifo => {
                let path = scratch.0.join("fifo");
                let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
                // SAFETY: a path that ends.
                assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
                // Opened for both, it does not wait for the other end to be opened.
                let both = std::fs::File::options().read(true).write(true).open(&path).unwrap();
                let reader = File::open(&path).unwrap();
                feed(content, std::fs::File::options().write(true).open(&path).unwrap(), kind);
                drop(both);
                Box::new(reader)
            }
            From::Tcp => {
                let (reader, writer) = tcp();
                feed(content, writer, kind);
                Box::new(reader)
            }
            From::Unix => {
                let (reader, writer) = UnixStream::pair().unwrap();
                feed(content, writer, kind);
                Box::new(reader)
            }
            From::Memory => Box::new(io::Cursor::new(content.to_vec())),
            From::Plain => Box::new(Plain { left: io::Cursor::new(content.to_vec()), turn: 0 }),
        }
    }
}

/// Writes it all, in pieces of different sizes, and closes.
fn feed(content: &[u8], mut to: impl Write + Send + 'static, kind: Kind) {
    let content = content.to_vec();
    start(kind, move || {
        let mut rest = &content[..];
        for turn in 1_usize.. {
            let (piece, behind) = rest.split_at(rest.len().min(turn * 7919 % 150_000));
            // The test may want only a part.
            if to.write_all(piece).is_err() || behind.is_empty() {
                return;
            }
            rest = behind;
        }
    });
}

/// Two ends of a TCP connection.
pub(crate) fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

struct Plain {
    left: io::Cursor<Vec<u8>>,
    turn: usize,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(self.turn * 1013);
        self.left.read(&mut buffer[..len])
    }
}

impl Source for Plain {}

/// An end that was opened to write to, and what was there already.
pub(crate) struct Open {
    pub(crate) writer: Box<dyn Target>,
    /// What stands in front of what is written.
    pub(crate) before: &'static [u8],
    found: Found,
}

/// How to find out what has arrived.
enum Found {
    File(std::path::PathBuf),
    Stream(Started<Vec<u8>>),
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl To {
    pub(crate) const ALL: [To; 9] = [
        To::File,
        To::StdFile,
        To::Log,
        To::Behind,
        To::Pipe,
        To::Tcp,
        To::Unix,
        To::Memory,
        To::Plain,
    ];

    pub(crate) fn open(self, kind: Kind, scratch: &Scratch) -> Open {
        const BEFORE: &[u8] = b"written before";
        let path = || scratch.file("target", BEFORE);
        let of_file = |writer: Box<dyn Target>, path| Open {
            writer,
            before: BEFORE,
            found: Found::File(path),
        };
        let file = |path: &std::path::PathBuf| {
            let mut file = std::fs::File::options().write(true).open(path).unwrap();
            file.seek(SeekFrom::End(0)).unwrap();
            file
        };
        match self {
            To::File => {
                let path = path();
                of_file(Box::new(File::from(file(&path))), path)
            }
            To::StdFile => {
                let path = path();
                of_file(Box::new(file(&path)), path)
            }
            To::Log => {
                let path = path();
                let log = std::fs::File::options().append(true).open(&path).unwrap();
                of_file(Box::new(File::from(log)), path)
            }
            To::Behind => {
                let path = scratch.file("target", &[]);
                let mut writer = BufWriter::new(File::from(file(&path)));
                writer.write_all(BEFORE).unwrap();
                of_file(Box::new(writer), path)
            }
            To::Pipe => {
                let (reader, writer) = io::pipe().unwrap();
                of_stream(reader, writer, kind)
            }
            To::Tcp => {
                let (reader, writer) = tcp();
                of_stream(reader, writer, kind)
            }
            To::Unix => {
                let (reader, writer) = UnixStream::pair().unwrap();
                of_stream(reader, writer, kind)
            }
            To::Memory | To::Plain => {
                let bytes = Arc::default();
                let most = if self == To::Plain { 999 } else { usize::MAX };
                let writer = Box::new(Shared { bytes: Arc::clone(&bytes), most });
                Open { writer, before: b"", found: Found::Memory(bytes) }
            }
        }
    }
}

fn of_stream(
    mut reader: impl Read + Send + 'static,
    writer: impl Target + 'static,
    kind: Kind,
) -> Open {
    let collected = start(kind, move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    Open { writer: Box::new(writer), before: b"", found: Found::Stream(collected) }
}

impl Open {
    /// All that has arrived, when the writer is closed.
    pub(crate) fn close(self) -> Vec<u8> {
        drop(self.writer);
        match self.found {
            Found::File(path) => std::fs::read(path).unwrap(),
            Found::Stream(collected) => collected.join(),
            Found::Memory(bytes) => bytes.lock().unwrap().clone(),
        }
    }
}

struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.most);
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Shared {}
