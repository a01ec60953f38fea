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
}

/// The rows printed so far.
pub struct Report {
    met: usize,
    missed: Vec<String>,
}

impl Report {
    /// Prints the table's head.
    pub fn start() -> Report {
        println!("Limit and ours were measured by turns in this run; the figures are medians.\n");
        println!("| work | limit | ours | reached | asked | |");
        println!("| --- | ---: | ---: | ---: | ---: | --- |");
        Report { met: 0, missed: Vec::new() }
    }

    /// A time for one call, in nanoseconds; `ratio` is ours by the limit.
    pub fn time(&mut self, work: &str, limit: f64, ours: f64, ratio: f64, asked: Asked) {
        let met = match asked {
            Asked::TimesLimit(most) => ratio <= most,
            Asked::Nanoseconds(most) => ours <= most,
            Asked::Scaling(_) | Asked::Exactly(_) => unreachable!("not a time"),
        };
        self.row(work, &time(limit), &time(ours), &format!("{ratio:.2} x"), asked, met);
    }

    /// How many times faster two threads are than one: the limit's and ours.
    pub fn scaling(&mut self, work: &str, limit: f64, ours: f64, asked: f64) {
        let (limit, reached) = (format!("{limit:.2} x one"), format!("{ours:.2} x one"));
        self.row(work, &limit, &reached, &reached, Asked::Scaling(asked), ours >= asked);
    }

    /// Something that is counted.
    pub fn count(&mut self, work: &str, most: u64, asked: u64) {
        let (limit, ours) = (asked.to_string(), most.to_string());
        self.row(work, &limit, &ours, &ours, Asked::Exactly(asked), most == asked);
    }

    fn row(&mut self, work: &str, limit: &str, ours: &str, reached: &str, asked: Asked, met: bool) {
        let asked = match asked {
            Asked::TimesLimit(most) => format!("<= {most:.2} x"),
            Asked::Nanoseconds(most) => format!("<= {}", time(most)),
            Asked::Scaling(least) => format!(">= {least:.1} x one"),
            Asked::Exactly(count) => format!("exactly {count}"),
        };
        println!(
            "| {work} | {limit} | {ours} | {reached} | {asked} | {} |",
            if met { "met" } else { "NOT MET" }
        );
        if met {
            self.met += 1;
        } else {
            self.missed.push(work.to_owned());
        }
    }

    /// Prints the closing line.
    pub fn finish(self) {
        println!("\n{} met, {} not met", self.met, self.missed.len());
        for work in self.missed {
            println!("not met: {work}");
        }
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 10_000.0 => format!("{n:.0} ns"),
        n if n < 10_000_000.0 => format!("{:.1} us", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}
