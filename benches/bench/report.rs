//! The table: limit, ours, the ratio reached, the ratio asked.

/// What a figure has to be.
#[derive(Clone, Copy)]
pub enum Asked {
    /// At most this many times the limit.
    TimesLimit(f64),
    /// At most this many nanoseconds.
    Nanoseconds(f64),
    /// At least this many times the figure of one thread.
    Scaling(f64),
    /// Exactly this count.
    Exactly(u64),
    /// At most so many KiB.
    Kibibytes(u64),
}

/// Whether a figure is what it has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    /// Ours scales as the limit does, but on this machine, now, the limit itself does not reach what is asked.
    AsTheLimit,
    NotMet,
}

/// Two threads that reach this part of what the limit's two threads reach lose nothing to each other: noise.
const AS_GOOD: f64 = 0.95;

/// The rows printed so far.
pub struct Report {
    met: usize,
    as_the_limit: usize,
    missed: Vec<String>,
}

impl Report {
    /// Prints the table's head.
    pub fn start() -> Report {
        println!("Limit and ours were measured by turns in this run; the figures are medians.\n");
        println!("| work | limit | ours | reached | asked | |");
        println!("| --- | ---: | ---: | ---: | ---: | --- |");
        Report { met: 0, as_the_limit: 0, missed: Vec::new() }
    }

    /// A time for one call, in nanoseconds; `ratio` is ours by the limit.
    pub fn time(&mut self, work: &str, limit: f64, ours: f64, ratio: f64, asked: Asked) {
        let met = match asked {
            Asked::TimesLimit(most) => ratio <= most,
            Asked::Nanoseconds(most) => ours <= most,
            Asked::Scaling(_) | Asked::Exactly(_) | Asked::Kibibytes(_) => unreachable!("not a time"),
        };
        self.row(work, &time(limit), &time(ours), &format!("{ratio:.2} x"), asked, verdict(met));
    }

    /// How many times faster two threads are than one: the limit's and ours.
    pub fn scaling(&mut self, work: &str, limit: f64, ours: f64, asked: f64) {
        let verdict = if ours < asked && limit < asked && ours >= AS_GOOD * limit {
            Verdict::AsTheLimit
        } else {
            verdict(ours >= asked)
        };
        let of_limit = format!("{:.2} of the limit", ours / limit);
        let (limit, ours) = (format!("{limit:.2} x one"), format!("{ours:.2} x one"));
        self.row(work, &limit, &ours, &of_limit, Asked::Scaling(asked), verdict);
    }

    /// Something that is counted.
    pub fn count(&mut self, work: &str, most: u64, asked: u64) {
        let (limit, ours) = (asked.to_string(), most.to_string());
        self.row(work, &limit, &ours, &ours, Asked::Exactly(asked), verdict(most == asked));
    }

    /// Memory that something takes, in KiB.
    pub fn memory(&mut self, work: &str, ours: u64, most: u64) {
        let (limit, figure) = (format!("{most} KiB"), format!("{ours} KiB"));
        self.row(work, &limit, &figure, &figure, Asked::Kibibytes(most), verdict(ours <= most));
    }

    fn row(&mut self, work: &str, limit: &str, ours: &str, reached: &str, asked: Asked, verdict: Verdict) {
        let asked = match asked {
            Asked::TimesLimit(most) => format!("<= {most:.2} x"),
            Asked::Nanoseconds(most) => format!("<= {}", time(most)),
            Asked::Scaling(least) => format!(">= {least:.1} x one"),
            Asked::Exactly(count) => format!("exactly {count}"),
            Asked::Kibibytes(most) => format!("<= {most} KiB"),
        };
        let word = match verdict {
            Verdict::Met => "met",
            Verdict::AsTheLimit => "as the limit",
            Verdict::NotMet => "NOT MET",
        };
        println!("| {work} | {limit} | {ours} | {reached} | {asked} | {word} |");
        match verdict {
            Verdict::Met => self.met += 1,
            Verdict::AsTheLimit => self.as_the_limit += 1,
            Verdict::NotMet => self.missed.push(work.to_owned()),
        }
    }

    /// Prints the closing line.
    pub fn finish(self) {
        println!(
            "\n{} met, {} as good as a limit that is itself below what is asked, {} not met",
            self.met,
            self.as_the_limit,
            self.missed.len()
        );
        for work in self.missed {
            println!("not met: {work}");
        }
    }
}

fn verdict(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::NotMet }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 10_000.0 => format!("{n:.0} ns"),
        n if n < 10_000_000.0 => format!("{:.1} us", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}
