//! A scenario's file: what visitors do, in TOML, and what is wrong with it in one line.
//!
//! `examples/load/shop.toml` has every key, with its meaning.

use crate::toml_file;
use raddle_http::{Headers, Method};
use raddle_load::{Flow, Request, Take, Template, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// What a file says.
pub(super) struct Said {
    pub(super) base: Option<Url>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) flows: Vec<Flow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    base: Option<Spanned<String>>,
    #[serde(default)]
    variables: BTreeMap<String, Spanned<String>>,
    flows: Spanned<Vec<FlowTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowTable {
    name: Option<String>,
    weight: Option<u32>,
    steps: Spanned<Vec<StepTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    method: Option<Spanned<String>>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    body: Option<Spanned<String>>,
    body_file: Option<Spanned<PathBuf>>,
    status: Option<Spanned<Statuses>>,
    think: Option<Spanned<Think>>,
    #[serde(default)]
    take: BTreeMap<String, Spanned<TakeTable>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    Some(Vec<u16>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Think {
    Always(String),
    Between { min: String, max: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeTable {
    header: Option<String>,
    regex: Option<String>,
    json: Option<String>,
}

/// Reads the file.
///
/// # Errors
///
/// `FILE:7: key: what`.
pub(super) fn read(path: &Path) -> Result<Said, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{}: it can't be read: {error}", path.display()))?;
    let file: File = toml_file::parse(path, &text)?;
    let reader = Reader { path, text: &text };
    let base = file.base.as_ref().map(|base| {
        base.get_ref()
            .parse::<Url>()
            .map_err(|error| reader.wrong(base.span(), "base", &error.to_string()))
    });
    let mut variables = Vec::new();
    for (name, value) in &file.variables {
        variables.push((name.clone(), value.get_ref().clone()));
    }
    let (span, tables) = (file.flows.span(), file.flows.get_ref());
    if tables.is_empty() || tables.iter().all(|flow| flow.weight == Some(0)) {
        let what = "no flow has a weight above 0: nothing would be asked for";
        return Err(reader.wrong(span, "flows", what));
    }
    let known: Vec<&str> = file.variables.keys().map(String::as_str).collect();
    let mut flows = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        let steps = &table.steps;
        if steps.get_ref().is_empty() {
            return Err(reader.wrong(steps.span(), "steps", "a flow has a step at least"));
        }
        flows.push(Flow {
            name: table.name.clone().unwrap_or_else(|| format!("flow {}", number + 1)),
            weight: table.weight.unwrap_or(1),
            requests: reader.requests(steps.get_ref(), known.clone())?,
        });
    }
    Ok(Said { base: base.transpose()?, variables, flows })
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, span: Range<usize>, key: &str, what: &str) -> String {
        toml_file::place(self.path, self.text, Some(span), &format!("{key}: {what}"))
    }

    /// A flow's steps; `known` are variables that have a value before the first.
    fn requests<'t>(
        &self,
        steps: &'t [StepTable],
        mut known: Vec<&'t str>,
    ) -> Result<Vec<Request>, String> {
        let mut requests = Vec::new();
        for step in steps {
            requests.push(self.request(step, &known)?);
            known.extend(step.take.keys().map(String::as_str));
        }
        Ok(requests)
    }

    fn request(&self, step: &StepTable, known: &[&str]) -> Result<Request, String> {
        let path = step.path.get_ref();
        if !path.starts_with(['/', '$']) {
            let what = format!("{path:?} is no path: it begins with /");
            return Err(self.wrong(step.path.span(), "path", &what));
        }
        let body = self.body(step, known)?;
        let mut request = Request::new(self.template(&step.path, "path", known)?);
        request.method = match &step.method {
            None if body.is_some() => Method::Post,
            None => Method::Get,
            Some(name) => super::options::method(name.get_ref())
                .map_err(|what| self.wrong(name.span(), "method", &what))?,
        };
        request.body = body.unwrap_or_default();
        for (name, value) in &step.headers {
            let key = format!("headers.{name}");
            // What a variable brings is seen when it is there.
            let plain = if value.get_ref().contains("${") { "" } else { value.get_ref() };
            Headers::new()
                .add(name.as_str(), plain)
                .map_err(|error| self.wrong(value.span(), &key, &error.to_string()))?;
            request.fields.push((name.clone(), self.template(value, &key, known)?));
        }
        if let Some(status) = &step.status {
            request.statuses = match status.get_ref() {
                Statuses::One(one) => vec![*one],
                Statuses::Some(some) => some.clone(),
            };
            let is_odd = |code: &u16| !(200..=599).contains(code);
            if let Some(odd) = request.statuses.iter().find(|code| is_odd(code)) {
                let what = format!("{odd} is no status that an answer ends with");
                return Err(self.wrong(status.span(), "status", &what));
            }
        }
        if let Some(think) = &step.think {
            request.think = thinking(think.get_ref())
                .map_err(|what| self.wrong(think.span(), "think", &what))?;
        }
        for (variable, take) in &step.take {
            let taken = taken(variable, take.get_ref());
            let key = format!("take.{variable}");
            request.takes.push(taken.map_err(|what| self.wrong(take.span(), &key, &what))?);
        }
        Ok(request)
    }

    /// A body, if there is one; a file lies beside the scenario's, and is sent as it is but for its variables.
    fn body(&self, step: &StepTable, known: &[&str]) -> Result<Option<Template>, String> {
        match (&step.body, &step.body_file) {
            (None, None) => Ok(None),
            (Some(body), None) => self.template(body, "body", known).map(Some),
            (None, Some(file)) => {
                let key = "body_file";
                let path = self.path.parent().unwrap_or(Path::new("")).join(file.get_ref());
                let text = fs::read_to_string(&path).map_err(|error| {
                    let what = format!("{}: {error}", path.display());
                    self.wrong(file.span(), key, &what)
                })?;
                self.template(&Spanned::new(file.span(), text), key, known).map(Some)
            }
            (Some(_), Some(file)) => {
                Err(self.wrong(file.span(), "body_file", "there is a body as well: give one"))
            }
        }
    }

    /// A text whose variables have a value by then.
    fn template(
        &self,
        text: &Spanned<String>,
        key: &str,
        known: &[&str],
    ) -> Result<Template, String> {
        let wrong = |what: &str| self.wrong(text.span(), key, what);
        let template: Template = text
            .get_ref()
            .parse()
            .map_err(|error: raddle_load::BadTemplate| wrong(&error.to_string()))?;
        if let Some(unknown) = template.names().find(|name| !known.contains(name)) {
            return Err(wrong(&format!(
                "no step before has taken {unknown}, and it is none of the variables"
            )));
        }
        Ok(template)
    }
}

fn thinking(think: &Think) -> Result<(Duration, Duration), String> {
    match think {
        Think::Always(time) => raddle_load::time(time).map(|time| (time, time)),
        Think::Between { min, max } => {
            let (min, max) = (raddle_load::time(min)?, raddle_load::time(max)?);
            if min > max { Err("min is above max".to_owned()) } else { Ok((min, max)) }
        }
    }
}

fn taken(variable: &str, take: &TakeTable) -> Result<Take, String> {
    match (&take.header, &take.regex, &take.json) {
        (Some(header), regex, None) => Take::field(variable, header, regex.as_deref()),
        (None, Some(regex), None) => Take::body(variable, regex),
        (None, None, Some(json)) => Take::json(variable, json),
        _ => Err("give header, header and regex, regex, or json".to_owned()),
    }
}
