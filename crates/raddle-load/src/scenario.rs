//! What a visitor does: requests in an order, with what the answers before them have said, and pauses to think.
//!
//! Flows are drawn by weight. One is a visit: its variables begin anew with each, and what goes wrong in it ends it, since what would come next has nothing
//! to go by.
//!
//! Rejected: a language. k6's and wrk's scripts can do anything, also what takes more time than the request: then it is the script that is measured.

use crate::place::Place;
use crate::take::{Take, Values, is_name};
use crate::target::{Ask, Target};
use crate::url::Url;
use raddle_http::Method;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What visitors do.
///
/// ```
/// use raddle_load::{Detour, Flow, Place, Request, Scenario, Take, Url};
/// use std::sync::Arc;
///
/// let base: Url = "http://127.0.0.1:1/".parse()?;
/// let place = Arc::new(Place::of(&base, &Detour::default(), None)?);
/// let mut first = Request::new("/carts".parse()?);
/// first.takes.push(Take::json("cart", "/id")?);
/// let second = Request::new("/carts/${cart}".parse()?);
/// let flow = Flow { name: "look".to_owned(), weight: 1, requests: vec![first, second] };
/// let scenario = Scenario::new(base, place, vec![flow]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) base: Url,
    pub(crate) place: Arc<Place>,
    pub(crate) flows: Vec<Flow>,
    /// Known from the beginning of each visit.
    pub variables: Vec<(String, String)>,
    /// Fields of every request, before its own.
    pub fields: Vec<(String, String)>,
    /// Whether each request has a connection of its own, and says so.
    pub closes: bool,
}

/// One visit.
#[derive(Clone, Debug)]
pub struct Flow {
    /// For people.
    pub name: String,
    /// How often it is drawn beside others.
    pub weight: u32,
    /// In this order.
    pub requests: Vec<Request>,
}

/// One request of a visit.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: Template,
    /// Fields, as those of [`Ask`].
    pub fields: Vec<(String, Template)>,
    /// The content.
    pub body: Template,
    /// The statuses that it may be answered with; none at all: those below 400.
    pub statuses: Vec<u16>,
    /// What is taken from its answer.
    pub takes: Vec<Take>,
    /// How long the visitor then thinks: between these two, at random.
    pub think: (Duration, Duration),
}

impl Scenario {
    /// One in which nothing is known from the beginning. `base` says who is asked, and `place` where that is.
    ///
    /// # Panics
    ///
    /// If all flows have a weight of zero, or one has no requests.
    pub fn new(base: Url, place: Arc<Place>, flows: Vec<Flow>) -> Scenario {
        assert!(flows.iter().any(|flow| flow.weight > 0), "nobody comes");
        assert!(flows.iter().all(|flow| !flow.requests.is_empty()), "a visitor who asks nothing");
        Scenario { base, place, flows, variables: Vec::new(), fields: Vec::new(), closes: false }
    }

    /// Who is asked.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// All steps, flow by flow, for people: `buy: PUT /carts/${id}`.
    pub(crate) fn steps(&self) -> Vec<String> {
        let of = |flow: &Flow| {
            let name = flow.name.clone();
            let step = move |one: &Request| format!("{name}: {} {}", one.method, one.path);
            flow.requests.iter().map(step).collect::<Vec<_>>()
        };
        self.flows.iter().flat_map(of).collect()
    }

    /// Where a flow's first step is among all.
    pub(crate) fn first_step(&self, flow: usize) -> usize {
        self.flows[..flow].iter().map(|before| before.requests.len()).sum()
    }

    /// The request as it is sent.
    pub(crate) fn target(&self, request: &Request, values: &Values) -> Result<Target, String> {
        let path = request.path.filled(values)?;
        let url = self.base.with_target(&path).map_err(|_| format!("{path:?} is no path"))?;
        let mut fields = self.fields.clone();
        for (name, value) in &request.fields {
            let value = value.filled(values)?;
            if let Some(odd) = value.chars().find(|c| c.is_control()) {
                return Err(format!("the field {name} would have {odd:?} in it"));
            }
            fields.push((name.clone(), value));
        }
        let ask = Ask {
            method: request.method,
            fields,
            body: request.body.filled(values)?.into_bytes(),
            closes: self.closes,
        };
        Ok(Target::new(&url, self.place.clone(), &ask))
    }
}

impl Request {
    /// A GET, without thinking.
    pub fn new(path: Template) -> Request {
        Request {
            method: Method::Get,
            path,
            fields: Vec::new(),
            body: Template::default(),
            statuses: Vec::new(),
            takes: Vec::new(),
            think: (Duration::ZERO, Duration::ZERO),
        }
    }

    pub(crate) fn allows(&self, status: u16) -> bool {
        if self.statuses.is_empty() { status < 400 } else { self.statuses.contains(&status) }
    }
}

/// A text with `${name}` where a variable's value is to stand. `$$` is a dollar.
///
/// ```
/// use raddle_load::Template;
/// let text: Template = "/a/${id}?price=5$$".parse()?;
/// assert_eq!(text.names().collect::<Vec<_>>(), ["id"]);
/// assert!("${id".parse::<Template>().is_err());
/// # Ok::<(), raddle_load::BadTemplate>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// Why a text is no [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTemplate(String);

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTemplate {}

impl Template {
    /// The variables in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    fn filled(&self, values: &Values) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            text += match part {
                Part::Text(own) => own,
                Part::Variable(name) => {
                    values.get(name).ok_or_else(|| format!("the variable {name} has no value"))?
                }
            };
        }
        Ok(text)
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(own) => f.write_str(&own.replace('$', "$$")),
            Part::Variable(name) => write!(f, "${{{name}}}"),
        })
    }
}

impl std::str::FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Template, BadTemplate> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, behind)) = rest.split_once('$') {
            plain += before;
            if let Some(behind) = behind.strip_prefix('$') {
                plain.push('$');
                rest = behind;
                continue;
            }
            let inner = behind.strip_prefix('{').ok_or_else(|| {
                BadTemplate("a $ has neither {name} nor another $ behind it".to_owned())
            })?;
            let (name, behind) = inner
                .split_once('}')
                .ok_or_else(|| BadTemplate("a ${ has no } behind it".to_owned()))?;
            is_name(name).map_err(BadTemplate)?;
            parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
            parts.push(Part::Variable(name.to_owned()));
            rest = behind;
        }
        plain += rest;
        parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
        Ok(Template(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let mut values = Values::default();
        values.set("a", "1".to_owned());
        values.set("b_2", "${a}".to_owned());
        let text: Template = text.parse().map_err(|error: BadTemplate| error.to_string())?;
        text.filled(&values)
    }

    #[test]
    fn values_stand_where_their_names_did() {
        assert_eq!(filled("x${a}y${b_2}").as_deref(), Ok("x1y${a}"), "and are taken as they are");
        assert_eq!(filled("").as_deref(), Ok(""));
        assert_eq!(filled("5$$ $${a}").as_deref(), Ok("5$ ${a}"));
        assert_eq!(filled("${c}"), Err("the variable c has no value".to_owned()));
        for (text, why) in [
            ("$a", "neither"),
            ("${a", "no } behind"),
            ("${a b}", "\"a b\" is no"),
            ("${}", "\"\" is no"),
        ] {
            assert!(filled(text).is_err_and(|error| error.contains(why)), "{text}");
        }
    }

    #[test]
    fn a_template_is_shown_as_it_was_written() {
        for text in ["/a/${b}?c=5$$", "${a}${b}", ""] {
            let template: Template = text.parse().expect("it is one");
            assert_eq!(template.to_string(), text);
        }
    }

    #[test]
    fn statuses_below_400_are_good_if_none_is_told() {
        let mut request = Request::new(Template::default());
        assert!(request.allows(302) && !request.allows(404));
        request.statuses = vec![404];
        assert!(request.allows(404) && !request.allows(200));
    }
}
