//! perf: samples of CPU time on bodies have whole call chains.

use crate::{Named, in_order, scratch, tool};
use libtest_mimic::Failed;
use std::path::Path;
use std::process::Command;

pub(crate) const TRIALS: &[Named] = &[("samples_have_whole_call_chains", whole_chains)];

/// Whether perf can record here, tried on a program that does nothing.
pub(crate) fn usable() -> Result<(), String> {
    let data = scratch("perf-probe");
    let out = record(&data, "").arg("/bin/true").output();
    let _ = std::fs::remove_file(&data);
    match out {
        Err(error) => Err(error.to_string()),
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stderr);
            let line = text.lines().find(|line| !line.is_empty()).unwrap_or("perf record failed");
            Err(line.to_owned())
        }
    }
}

/// Copies of 8 KiB of stack go with each sample, for the unwinding rules to be followed afterwards.
fn record(data: &Path, scenario: &str) -> Command {
    let mut command = tool("perf", scenario);
    command.args(["record", "-F", "499", "-e", "cpu-clock", "--call-graph", "dwarf,8192", "-o"]);
    command.arg(data).arg("--");
    command
}

fn whole_chains() -> Result<(), Failed> {
    let data = scratch("perf.data");
    let out = record(&data, "burn").arg(std::env::current_exe()?).output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned().into());
    }
    let out = tool("perf", "")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"])
        .arg(&data)
        .output()?;
    let _ = std::fs::remove_file(&data);
    let text = String::from_utf8_lossy(&out.stdout);
    // Samples from before the bodies run, and of kernel threads that wait, are none of them.
    let samples: Vec<&str> =
        text.split("\n\n").filter(|one| one.contains("raddle_test_")).collect();
    let whole = samples.iter().filter(|sample| is_whole(sample)).count();
    println!("perf: {whole} whole call chains of {} samples", samples.len());
    if samples.len() < 50 || whole * 5 < samples.len() * 4 {
        let broken: Vec<_> = samples.iter().filter(|sample| !is_whole(sample)).take(5).collect();
        return Err(
            format!("{whole} whole call chains of {}; not: {broken:#?}", samples.len()).into()
        );
    }
    Ok(())
}

/// A sample is a line that names the program and then a line for each frame: address and symbol.
fn is_whole(sample: &str) -> bool {
    const CHAIN: [&str; 4] =
        ["raddle_test_inner", "raddle_test_middle", "raddle_test_outer", "first_entry"];
    let symbols: Vec<_> = sample
        .lines()
        .skip(1)
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(_, symbol)| symbol.rsplit("::").next().unwrap_or(symbol))
        .collect();
    in_order(&symbols, &CHAIN)
}
