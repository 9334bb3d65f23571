//! What there is to choose of every benchmark that starts programs.

/// How much is done, and how it is printed: so many rounds, and so many with `--quick`.
#[derive(clap::Args)]
pub(crate) struct Effort<const ROUNDS: u16, const QUICK: u16> {
    /// Print one JSON object a line, as soon as a case is done, in place of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Short runs and few rounds: about a tenth of the time, and less certain figures
    #[arg(long)]
    pub(crate) quick: bool,

    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1000),
        help = format!("Rounds; {ROUNDS} by default, {QUICK} with --quick"),
    )]
    rounds: Option<u16>,
}

impl<const ROUNDS: u16, const QUICK: u16> Effort<ROUNDS, QUICK> {
    /// So many rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(ROUNDS, QUICK)).into()
    }

    /// The one, or with `--quick` the other.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
