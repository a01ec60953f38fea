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

/// Times short calls on this thread: rounds of about 2 ms each, by turns.
pub fn side_by_side(mut limit: impl FnMut(), mut ours: impl FnMut()) -> Pair {
    const ROUND: Duration = Duration::from_millis(2);
    const ROUNDS: usize = 61;
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
pub fn scaling<L: FnMut(), O: FnMut()>(
    limit: impl Fn(usize) -> L + Sync,
    ours: impl Fn(usize) -> O + Sync,
) -> (f64, f64) {
    const ROUND: Duration = Duration::from_millis(20);
    const ROUNDS: usize = 15;
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let limit = rate(2, ROUND, &limit) / rate(1, ROUND, &limit);
            let ours = rate(2, ROUND, &ours) / rate(1, ROUND, &ours);
            (limit, ours)
        })
        .collect();
    (median(rounds.iter().map(|round| round.0)), median(rounds.iter().map(|round| round.1)))
}

/// Calls a second of so many threads together, for about so long.
pub fn rate<F: FnMut()>(threads: usize, round: Duration, make: &(impl Fn(usize) -> F + Sync)) -> f64 {
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    let mut call = make(number);
                    call(); // its first call may set up what the thread keeps
                    start.wait();
                    rate_of(&mut call, round)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).sum()
    })
}

/// Calls a second of this thread. The clock is looked at about every 20 microseconds.
fn rate_of(call: &mut impl FnMut(), round: Duration) -> f64 {
    let between = calls_in(Duration::from_micros(20), call);
    let (begin, mut calls) = (Instant::now(), 0_u64);
    loop {
        for _ in 0..between {
            call();
        }
        calls += between;
        let taken = begin.elapsed();
        if taken >= round {
            return calls as f64 / taken.as_secs_f64();
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
