//! Timing two things by turns, so that what else the machine does hits both alike.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One call's time, limit and ours, and ours by the limit.
pub struct Pair {
    /// Nanoseconds for a call of the limit: the median of all rounds.
    pub limit: f64,
    /// Nanoseconds for a call of ours: the median of all rounds.
    pub ours: f64,
    /// The median of the rounds' ratios: each compares two neighbours in time.
    pub ratio: f64,
}

impl Pair {
    /// Of rounds, each the limit's and our nanoseconds for a call.
    pub fn of(rounds: &[(f64, f64)]) -> Pair {
        Pair {
            limit: median(rounds.iter().map(|round| round.0)),
            ours: median(rounds.iter().map(|round| round.1)),
            ratio: median(rounds.iter().map(|round| round.1 / round.0)),
        }
    }
}

/// The middle of some figures.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Times short calls on this thread, by turns: in rounds so short that the kernel seldom lets another program in
/// between, and so many that the median is of undisturbed ones.
pub fn side_by_side(mut limit: impl FnMut(), mut ours: impl FnMut()) -> Pair {
    const ROUND: Duration = Duration::from_micros(200);
    const ROUNDS: usize = 601;
    let (limit_calls, our_calls) = (calls_in(ROUND, &mut limit), calls_in(ROUND, &mut ours));
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            // Who goes first changes too.
            if round % 2 == 0 {
                let first = batch(&mut limit, limit_calls);
                (first, batch(&mut ours, our_calls))
            } else {
                let first = batch(&mut ours, our_calls);
                (batch(&mut limit, limit_calls), first)
            }
        })
        .collect();
    Pair::of(&rounds)
}

/// How many times faster two threads are than one: the limit's and ours. `limit` and `ours` make what a
/// thread calls, on that thread, from its number.
///
/// Of many short rounds the best counts, of one thread as of two: what else runs on the machine only ever takes away.
pub fn scaling<L: FnMut(), O: FnMut()>(
    limit: impl Fn(usize) -> L + Sync,
    ours: impl Fn(usize) -> O + Sync,
) -> (f64, f64) {
    const ROUND: Duration = Duration::from_millis(2);
    const ROUNDS: usize = 150;
    let (mut best_limit, mut best_ours) = ([0.0_f64; 2], [0.0_f64; 2]);
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            let (limit, ours) = (rate(threads, ROUND, &limit), rate(threads, ROUND, &ours));
            best_limit[threads - 1] = best_limit[threads - 1].max(limit);
            best_ours[threads - 1] = best_ours[threads - 1].max(ours);
        }
    }
    (best_limit[1] / best_limit[0], best_ours[1] / best_ours[0])
}

/// Calls a second of so many threads together, for about so long: from the start of the first to the end of the last,
/// so that threads which had to take turns are not counted as if they had not.
pub fn rate<F: FnMut()>(threads: usize, round: Duration, make: &(impl Fn(usize) -> F + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    let mut call = make(number);
                    call(); // its first call may set up what the thread keeps
                    let between = calls_in(Duration::from_micros(20), &mut call);
                    start.wait();
                    run(&mut call, between, round)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).collect()
    });
    let calls: u64 = runs.iter().map(|run| run.calls).sum();
    let (begin, end) = (runs.iter().map(|run| run.begin).min(), runs.iter().map(|run| run.end).max());
    calls as f64 / end.zip(begin).map_or(f64::INFINITY, |(end, begin)| (end - begin).as_secs_f64())
}

/// What one thread did, and when.
struct Run {
    begin: Instant,
    end: Instant,
    calls: u64,
}

/// Calls for about so long; the clock is looked at every `between` calls.
fn run(call: &mut impl FnMut(), between: u64, round: Duration) -> Run {
    let (begin, mut calls) = (Instant::now(), 0);
    loop {
        for _ in 0..between {
            call();
        }
        calls += between;
        let end = Instant::now();
        if end - begin >= round {
            return Run { begin, end, calls };
        }
    }
}

/// How many calls take about so long; 1 at least.
fn calls_in(span: Duration, call: &mut impl FnMut()) -> u64 {
    let mut calls = 1;
    loop {
        let begin = Instant::now();
        for _ in 0..calls {
            call();
        }
        if begin.elapsed() >= span || calls >= 1 << 24 {
            return calls;
        }
        calls *= 2;
    }
}

/// Nanoseconds for each of so many calls.
fn batch(call: &mut impl FnMut(), calls: u64) -> f64 {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    begin.elapsed().as_nanos() as f64 / calls as f64
}
