//! One connection's course, on a thread of its own.

use super::clients::Visitor;
use super::content::{Content, Failure};
use super::crowd::Place;
use super::current::Serving;
use super::link::Link;
use super::plugin::{Plugin, Served, Trouble};
use super::send::send;
use super::service::plain;
use super::times::{is_timeout, within};
use crate::context::{self, ConnectionId, RequestId};
use crate::date::{Date, DateCache};
use crate::header::Header;
use crate::headers::Headers;
use crate::protocol::{Connection, Fault, HeadStep, RequestHead};
use crate::request::Client;
use crate::response::Response;
use crate::status::Status;
use crate::transport::{Begun, Transport};
use raddle::cancel::Cancelled;
use raddle::thread;
use raddle::time::Instant;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

/// Of what a client sends after all has been said, so much is read.
const LINGER_BYTES: usize = 256 << 10;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are too many.
    Full,
    /// The client has too many.
    Client,
}

impl Refusal {
    fn response(self) -> Response {
        let status = match self {
            Refusal::Full => Status::SERVICE_UNAVAILABLE,
            Refusal::Client => Status::TOO_MANY_REQUESTS,
        };
        plain(status).header(Header::RetryAfter, "1")
    }
}

/// What a server knows of whoever is connected.
#[derive(Debug, Default)]
pub(super) struct Guest<'a> {
    /// The client's address, if it has one.
    pub(super) peer: Option<SocketAddr>,
    pub(super) place: Option<&'a Place>,
    /// Where clients are limited.
    pub(super) visitor: Option<Visitor>,
    /// It is only to be told that.
    pub(super) refusal: Option<Refusal>,
}

/// Serves a connection until it ends.
///
/// # Errors
///
/// Those of the transport: the client is gone, or was too slow.
pub(super) fn serve<S: Transport + ?Sized>(
    service: Serving<'_>,
    stream: &mut S,
    guest: &Guest<'_>,
) -> io::Result<()> {
    let peer = guest.peer;
    let plugins = service.plugins();
    let mut greeted = Greeted { plugins: &plugins, count: 0, peer };
    if !greeted.by_all() {
        return Ok(());
    }
    let protocol = Connection::new(&service.limits);
    let times = service.times;
    let id = ConnectionId::next();
    context::is_at(peer, RequestId::made(id, 1));
    let course = Course {
        service,
        id,
        link: Link { protocol, stream, times },
        place: guest.place,
        visitor: guest.visitor.as_ref(),
        peer,
        date: DateCache::default(),
        spare: Headers::new(),
        waits: Waits::ForBegin,
        is_about_to_ask: false,
    };
    match within(times.head, || course.link.stream.begin()) {
        Ok(Begun::Refused(why)) => {
            course.refuse_all(Response::text(why).with_status(Status::BAD_REQUEST))
        }
        Ok(_) if let Some(refusal) = guest.refusal => course.refuse_all(refusal.response()),
        Ok(Begun::AtOnce) => course.run(),
        Ok(Begun::ByHandshake) => Course { is_about_to_ask: true, ..course }.run(),
        Err(error) => Err(error),
    }
}

/// Plugins that a connection has come to. They see it go, however it ends: in order, refused by a later one, cut off.
struct Greeted<'a> {
    plugins: &'a [Box<dyn Plugin>],
    count: usize,
    peer: Option<SocketAddr>,
}

impl Greeted<'_> {
    /// Whether all let it in.
    fn by_all(&mut self) -> bool {
        self.plugins.iter().all(|plugin| {
            self.count += 1;
            plugin.accepted(self.peer)
        })
    }
}

impl Drop for Greeted<'_> {
    fn drop(&mut self) {
        for plugin in &self.plugins[..self.count] {
            // The others are to see it all the same, and the thread may be unwinding already.
            if catch_unwind(AssertUnwindSafe(|| plugin.ended(self.peer))).is_err() {
                log::error!("a plugin has panicked at a connection's end");
            }
        }
    }
}

fn trouble(has_panicked: bool, sent: &io::Result<()>) -> Option<Trouble> {
    match sent {
        _ if has_panicked => Some(Trouble::Panicked),
        Ok(()) => None,
        Err(error) if is_timeout(error) => Some(Trouble::TooSlow),
        Err(_) => Some(Trouble::BrokenOff),
    }
}

/// Who has asked within that time may ask again soon.
const BUSY: Duration = Duration::from_secs(1);

/// A read that the server's end may end.
fn read_idle(
    place: Option<&Place>,
    limit: Duration,
    read: impl FnOnce() -> io::Result<usize>,
) -> Result<io::Result<usize>, Cancelled> {
    let read = || within(limit, read);
    match place {
        Some(place) => place.seat.idle.carry(read),
        None => Ok(read()),
    }
}

/// What is waited for between two requests.
#[derive(Clone, Copy, Debug)]
enum Waits {
    /// The next one's first byte.
    ForBegin,
    /// The rest, for as long as may be; since now.
    ForRest,
    /// The rest, until then.
    Until(Option<Instant>),
}

struct Course<'a, S: ?Sized> {
    service: Serving<'a>,
    id: ConnectionId,
    link: Link<'a, S>,
    place: Option<&'a Place>,
    visitor: Option<&'a Visitor>,
    peer: Option<SocketAddr>,
    date: DateCache,
    /// The last response's fields, of which the next one's have the memory.
    spare: Headers,
    waits: Waits,
    /// The client has just ended a handshake, and nobody does that for nothing: it gets a moment, even of a server that ends.
    is_about_to_ask: bool,
}

impl<S: Transport + ?Sized> Course<'_, S> {
    fn run(mut self) -> io::Result<()> {
        let mut head = RequestHead::new();
        loop {
            if self.service.refresh() {
                self.link.times = self.service.times;
                self.link.protocol.set_limits(&self.service.limits);
            }
            match self.link.protocol.read_head(&mut head) {
                Ok(HeadStep::Ready) => {
                    self.answer(&head)?;
                    self.waits = Waits::ForBegin;
                }
                Ok(HeadStep::NeedsInput) => {
                    if !self.wait()? {
                        break;
                    }
                }
                Ok(HeadStep::Closed) => break,
                Err(fault) => self.refuse(None, fault),
            }
        }
        self.close()
    }

    /// Waits for more of a head. False if none comes.
    fn wait(&mut self) -> io::Result<bool> {
        let times = self.link.times;
        let is_idle =
            matches!(self.waits, Waits::ForBegin) && self.link.protocol.unread().is_empty();
        if !is_idle || !self.link.stream.can_exchange() {
            self.link.flush()?;
        }
        if is_idle {
            let is_first = self.link.protocol.served() == 0;
            self.waits = Waits::ForRest;
            return self.wait_idle(if is_first { times.head } else { times.idle });
        }
        let until = match self.waits {
            Waits::Until(until) => until,
            _ => Instant::now().checked_add(times.head),
        };
        self.waits = Waits::Until(until);
        let left = until.map_or(times.head, |until| until.duration_since(Instant::now()));
        match self.link.receive(left) {
            Err(error) if is_timeout(&error) => {
                self.say_last(None, plain(Status::REQUEST_TIMEOUT), Trouble::TooSlow);
                Ok(true)
            }
            result => result.map(|()| true),
        }
    }

    /// Waits for a first byte; a server that ends may end this. False if none comes. What there is to be said goes out before, in the same wait.
    ///
    /// A connection on which nothing happens for a while gives back its buffers: most of those that are kept are idle.
    fn wait_idle(&mut self, limit: Duration) -> io::Result<bool> {
        let (place, soon) = (self.place, limit.min(BUSY));
        let link = &mut self.link;
        let at_first = place.filter(|_| !std::mem::take(&mut self.is_about_to_ask));
        let (output, space) = link.protocol.output_and_space();
        let mut unsent = output;
        let mut read = read_idle(at_first, soon, || {
            if unsent.is_empty() {
                link.stream.read(space)
            } else {
                link.stream.exchange(&mut unsent, space)
            }
        });
        let sent = output.len() - unsent.len();
        link.protocol.sent(sent);
        match &read {
            Ok(Ok(count)) => link.protocol.filled(*count),
            Ok(Err(error)) if !is_timeout(error) => {}
            // Whoever takes it slowly has more time for that, also of a server that ends.
            _ => link.flush()?,
        }
        if matches!(&read, Ok(Err(error)) if is_timeout(error)) && soon < limit {
            link.protocol.release_memory();
            self.spare = Headers::new();
            read = read_idle(place, limit - soon, || link.receive_little());
        }
        if let (Some(place), Some(core)) = (place, thread::core()) {
            place.runs_on(core);
        }
        match read {
            Ok(Ok(0)) => link.protocol.end_of_input(),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if !is_timeout(&error) => return Err(error),
            Ok(Err(_)) | Err(Cancelled) => return Ok(false),
        }
        Ok(true)
    }

    /// Whatever the client asks for, this is the answer.
    fn refuse_all(mut self, answer: Response) -> io::Result<()> {
        self.say_last(None, answer, Trouble::Refused);
        self.link.flush()?;
        self.linger()
    }

    fn answer(&mut self, head: &RequestHead) -> io::Result<()> {
        let is_watched = !self.service.plugins.is_empty();
        let begun = is_watched.then(|| (SystemTime::now(), Instant::now()));
        let id = self.name(Some(head));
        context::is_at(self.peer, id);
        let mut content = Content::new(&mut self.link);
        let spare = std::mem::take(&mut self.spare);
        let ending = self.place.map(|place| &place.seat.idle);
        let client = Client { peer: self.peer, id, ending, spare };
        let (mut response, has_panicked) = match self.visitor.map_or(Ok(()), Visitor::ask) {
            Ok(()) => self.service.answer(head, &mut content, client),
            Err(wait) => (self.service.put_off(head, wait), false),
        };
        let failure = content.failure();
        // Chunks that nobody has read may turn out to be none, and a client has to hear before that this is the end.
        let is_open = self.link.protocol.is_in_chunks();
        if has_panicked || is_open || self.place.is_some_and(Place::is_draining) {
            self.link.protocol.close_after_this();
        }
        // Whatever the handler has made of half a request, that is not its answer.
        match failure {
            Some(Failure::Fault(fault)) => {
                self.refuse(Some(head), fault);
                return Ok(());
            }
            Some(Failure::TooSlow) => {
                self.say_last(Some(head), plain(Status::REQUEST_TIMEOUT), Trouble::TooSlow);
                return Ok(());
            }
            Some(Failure::Gone) => {
                self.tell(Some(head), response.status(), 0, Trouble::BrokenOff);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            None => {}
        }
        let status = response.status();
        if self.service.tells_ids {
            let set = response.headers_mut().set(Header::XRequestId, id.to_string());
            set.expect("an id has nothing that a field may not have");
        }
        let date = self.date.text(Date::from(SystemTime::now()));
        let (headers, content, result) = send(&mut self.link, response, date);
        self.spare = headers;
        if let Some((begun, since)) = begun {
            let served = Served {
                head: Some(head),
                peer: self.peer,
                id,
                status,
                content,
                is_whole: result.is_ok(),
                trouble: trouble(has_panicked, &result),
                begun,
                took: since.elapsed(),
            };
            self.service.plugins.iter().for_each(|plugin| plugin.served(&served));
        }
        result
    }

    /// Answers what is no request.
    fn refuse(&mut self, head: Option<&RequestHead>, fault: Fault) {
        let date = self.date.text(Date::from(SystemTime::now()));
        let content = self.link.protocol.refuse(fault, date);
        self.tell(head, fault.status(), content, Trouble::Fault(fault));
    }

    /// A last word, of the server's own.
    fn say_last(&mut self, head: Option<&RequestHead>, response: Response, why: Trouble) {
        let status = response.status();
        let response = response.header(Header::Connection, "close");
        let date = self.date.text(Date::from(SystemTime::now()));
        // It is short: it waits for nobody.
        let (_, content, _) = send(&mut self.link, response, date);
        self.link.protocol.abort();
        self.tell(head, status, content, why);
    }

    /// What the request is called: the client's word for it, or the connection's count.
    fn name(&self, head: Option<&RequestHead>) -> RequestId {
        let given = head.and_then(|head| RequestId::given(head.headers()));
        // What is none comes after those that have come.
        let number = self.link.protocol.served() + u64::from(head.is_none());
        given.unwrap_or_else(|| RequestId::made(self.id, number))
    }

    fn tell(&self, head: Option<&RequestHead>, status: Status, content: u64, why: Trouble) {
        let served = Served {
            head,
            peer: self.peer,
            id: self.name(head),
            status,
            content,
            is_whole: why != Trouble::BrokenOff,
            trouble: Some(why),
            begun: SystemTime::now(),
            took: Duration::ZERO,
        };
        self.service.plugins.iter().for_each(|plugin| plugin.served(&served));
    }

    /// The end.
    fn close(mut self) -> io::Result<()> {
        self.link.flush()?;
        if self.link.protocol.is_client_sending() {
            return self.linger();
        }
        within(self.link.times.linger, || self.link.stream.end())
    }

    /// A client that still sends would lose the answer if its bytes met a closed socket: they are read for a while. RFC 9112 section 9.6.
    fn linger(self) -> io::Result<()> {
        let limit = self.link.times.linger;
        within(limit, || self.link.stream.end_output())?;
        let read = within(limit, || {
            let mut dropped = 0;
            let mut piece = [0; 4 << 10];
            while dropped < LINGER_BYTES {
                match self.link.stream.read(&mut piece)? {
                    0 => break,
                    count => dropped += count,
                }
            }
            Ok(())
        });
        match read {
            Err(error) if !is_timeout(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
