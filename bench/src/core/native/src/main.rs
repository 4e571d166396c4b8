//! One sample of `rtrb` between two threads: the same records, batches, capacity and checks as in the workers of the bench,
//! see transfer/record-check.ts. Prints `{"records":N,"milliseconds":M}`.
//!
//! Usage: rtrb-peer copy|in-place RECORD_BYTES BATCH_RECORDS CAPACITY_BYTES WARM_UP_MS DURATION_MS

use rtrb::{Consumer, Producer, RingBuffer};
use std::hint::spin_loop;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TOUCHED_WORD_STRIDE: usize = 16;
const CHUNK_RECORDS: u64 = 512;
const LOOK_RECORDS: u64 = 4096;
const LOOK_BYTES: u64 = 1 << 20;
const RUNNING: u64 = u64::MAX;

type Record<const WORDS: usize> = [u32; WORDS];

struct Plan {
    in_place: bool,
    batch: usize,
    capacity_bytes: usize,
    warm_up: Duration,
    duration: Duration,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    assert_eq!(args.len(), 6, "mode, record bytes, batch, capacity bytes, warm-up ms, duration ms");
    let number = |index: usize| args[index].parse::<usize>().expect("a number");
    let plan = Plan {
        in_place: args[0] == "in-place",
        batch: number(2),
        capacity_bytes: number(3),
        warm_up: Duration::from_millis(number(4) as u64),
        duration: Duration::from_millis(number(5) as u64),
    };
    // A queue of elements of a fixed size is what the crate is; the size is known when it is compiled.
    let (records, milliseconds) = match number(1) {
        64 => run::<16>(&plan),
        128 => run::<32>(&plan),
        1024 => run::<256>(&plan),
        16384 => run::<4096>(&plan),
        other => panic!("no such record size: {other}"),
    };
    println!("{{\"records\":{records},\"milliseconds\":{milliseconds}}}");
}

fn run<const WORDS: usize>(plan: &Plan) -> (u64, f64) {
    let (producer, consumer) = RingBuffer::<Record<WORDS>>::new(plan.capacity_bytes / (4 * WORDS));
    let stop = AtomicBool::new(false);
    let total = AtomicU64::new(RUNNING);
    std::thread::scope(|scope| {
        scope.spawn(|| produce(producer, plan, &stop, &total));
        scope.spawn(|| consume(consumer, plan, &stop, &total)).join().expect("consumer")
    })
}

fn produce<const WORDS: usize>(
    mut producer: Producer<Record<WORDS>>,
    plan: &Plan,
    stop: &AtomicBool,
    total: &AtomicU64,
) {
    let mut source = source_record::<WORDS>();
    let mut sequence = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..CHUNK_RECORDS / plan.batch as u64 {
            let mut chunk = loop {
                match producer.write_chunk_uninit(plan.batch) {
                    Ok(chunk) => break chunk,
                    Err(_) => spin_loop(),
                }
            };
            let (first, second) = chunk.as_mut_slices();
            for slot in first.iter_mut().chain(second) {
                if plan.in_place {
                    fill(slot, sequence as u32);
                } else {
                    source[0] = sequence as u32;
                    slot.write(source);
                }
                sequence += 1;
            }
            // SAFETY: every slot of the chunk has just been written.
            unsafe { chunk.commit_all() };
        }
    }
    total.store(sequence, Ordering::Release);
}

fn consume<const WORDS: usize>(
    mut consumer: Consumer<Record<WORDS>>,
    plan: &Plan,
    stop: &AtomicBool,
    total: &AtomicU64,
) -> (u64, f64) {
    let pattern = pattern_sum::<WORDS>();
    let step = (LOOK_BYTES / (4 * WORDS as u64)).clamp(16, LOOK_RECORDS);
    let mut count = 0_u64;
    let mut next_look = 1_u64;
    let mut started: Option<Instant> = None;
    let mut from: Option<(Instant, u64)> = None;
    let mut result = None;
    loop {
        let slots = consumer.slots();
        if slots == 0 {
            if let Some(result) = result {
                if total.load(Ordering::Acquire) == count {
                    return result;
                }
            }
            spin_loop();
            continue;
        }
        let chunk = consumer.read_chunk(slots).expect("slots that are there");
        let (first, second) = chunk.as_slices();
        for record in first.iter().chain(second) {
            check(record, count as u32, pattern);
            count += 1;
        }
        chunk.commit_all();
        if count < next_look || result.is_some() {
            continue;
        }
        next_look = count + step;
        let now = Instant::now();
        match (started, from) {
            (None, _) => started = Some(now),
            (Some(start), None) if now - start >= plan.warm_up => from = Some((now, count)),
            (_, Some((since, before))) if now - since >= plan.duration => {
                result = Some((count - before, (now - since).as_secs_f64() * 1000.0));
                stop.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn pattern_word(index: usize) -> u32 {
    (index as u32).wrapping_mul(0x9e37_79b1)
}

fn source_record<const WORDS: usize>() -> Record<WORDS> {
    let mut record = [0; WORDS];
    for (index, word) in record.iter_mut().enumerate().skip(1) {
        *word = pattern_word(index);
    }
    record
}

fn fill<const WORDS: usize>(slot: &mut MaybeUninit<Record<WORDS>>, sequence: u32) {
    let words = slot.as_mut_ptr().cast::<u32>();
    // SAFETY: the slot has WORDS words, and all of them are written.
    unsafe {
        words.write(sequence);
        for index in 1..WORDS {
            words.add(index).write(pattern_word(index));
        }
    }
}

fn pattern_sum<const WORDS: usize>() -> u32 {
    (TOUCHED_WORD_STRIDE..WORDS)
        .step_by(TOUCHED_WORD_STRIDE)
        .fold(0, |sum, index| sum.wrapping_add(pattern_word(index)))
}

fn check<const WORDS: usize>(record: &Record<WORDS>, sequence: u32, pattern: u32) {
    let mut sum = 0_u32;
    for index in (0..WORDS).step_by(TOUCHED_WORD_STRIDE) {
        sum = sum.wrapping_add(record[index]);
    }
    assert_eq!(sum, pattern.wrapping_add(sequence), "record {sequence}");
}
