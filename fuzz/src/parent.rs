//! Watches children that run mutants, and starts another where one dies or hangs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::Options;

/// How children ended, by kind, with the numbers of the first mutants of each.
#[derive(Default)]
struct Report {
    answers: BTreeMap<String, u64>,
    failures: BTreeMap<String, Vec<u64>>,
}

pub fn run(options: &Options, seeds: &[Vec<u8>]) -> Result<bool, String> {
    let end = options.first + options.cases;
    let mut next = options.first;
    let mut report = Report::default();
    while next < end {
        next = watch(options, next, end - next, &mut report)?;
    }
    println!("{} mutants of {} seeds: {:?}", options.cases, seeds.len(), report.answers);
    for (kind, cases) in &report.failures {
        println!(
            "FAILURE {kind}: {} mutants, first {:?}",
            cases.len(),
            &cases[..cases.len().min(5)]
        );
        std::fs::create_dir_all(&options.keep).map_err(|error| error.to_string())?;
        for &case in cases.iter().take(3) {
            let target = options.target;
            let path = options.keep.join(format!("{}-{case}.{}", options.seed, target.name()));
            let file = target.mutant(seeds, options.seed, case);
            std::fs::write(path, file).map_err(|error| error.to_string())?;
        }
    }
    Ok(report.failures.is_empty())
}

/// Runs one child until it ends, and returns the first mutant that it didn't answer.
fn watch(options: &Options, first: u64, cases: u64, report: &mut Report) -> Result<u64, String> {
    let mut child = start(options, first, cases)?;
    let lines = lines(&mut child);
    let mut current = first;
    let mut places = Vec::new();
    let mut used = cpu_seconds(&child);
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let mut words = line.splitn(3, ' ');
                let (kind, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                match kind {
                    "start" => {
                        current = rest.parse().map_err(|_| format!("the child said `{line}`"))?;
                        used = cpu_seconds(&child);
                        places.clear();
                    }
                    "panic" => places.push(line),
                    "panicked" => {
                        let place = places.first().cloned().unwrap_or_default();
                        report.failures.entry(place).or_default().push(current);
                    }
                    "end" => {
                        let answer = words.next().unwrap_or("").to_owned();
                        if answer == "infinite" || answer == "failed" {
                            report.failures.entry(answer.clone()).or_default().push(current);
                        }
                        *report.answers.entry(answer).or_default() += 1;
                    }
                    _ => (),
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // Only its own time counts: other work on the machine may slow it down.
                if cpu_seconds(&child) - used > options.timeout as f64 {
                    child.kill().map_err(|error| error.to_string())?;
                    child.wait().map_err(|error| error.to_string())?;
                    report.failures.entry("hang".into()).or_default().push(current);
                    return Ok(current + 1);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().map_err(|error| error.to_string())?;
                if status.success() {
                    return Ok(first + cases);
                }
                let kind = places.first().map_or_else(|| status.to_string(), Clone::clone);
                report.failures.entry(format!("died: {kind}")).or_default().push(current);
                return Ok(current + 1);
            }
        }
    }
}

/// Starts a child with a limit to its address space, which only a shell can set.
fn start(options: &Options, first: u64, cases: u64) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\""]);
    command.arg((options.memory << 10).to_string()).arg(program).arg("--child");
    for (name, value) in [("--first", first), ("--cases", cases), ("--seed", options.seed)] {
        command.arg(name).arg(value.to_string());
    }
    command.args(["--target", options.target.name()]);
    for seeds in &options.seeds {
        command.arg("--seeds").arg(seeds);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|error| format!("the child can't be started: {error}"))
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// The processor time that a child has used, from /proc; wall time where there is none.
fn cpu_seconds(child: &Child) -> f64 {
    /// Linux counts in hundredths of a second on all machines that this runs on.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    let ticks = stat.rsplit(')').next().map(|rest| {
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        number(11).unwrap_or(0.0) + number(12).unwrap_or(0.0)
    });
    match ticks {
        Some(ticks) if !stat.is_empty() => ticks / TICKS,
        _ => std::time::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64()),
    }
}
