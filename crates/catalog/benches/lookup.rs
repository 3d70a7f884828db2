//! What lookups and estimates cost.
//!
//! Run with `cargo bench -p ziggurat-catalog`.

use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use ziggurat_catalog::{find, get, tokens};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn get_hit(bencher: Bencher<'_, '_>) {
    bencher.bench(|| get(black_box("gpt-4o")));
}

#[divan::bench]
fn find_hit_with_provider(bencher: Bencher<'_, '_>) {
    bencher.bench(|| find(black_box("gemini"), black_box("gemini-2.5-pro")));
}

#[divan::bench]
fn find_hit_without_provider(bencher: Bencher<'_, '_>) {
    bencher.bench(|| find(black_box("openai"), black_box("gpt-4o")));
}

#[divan::bench]
fn find_miss(bencher: Bencher<'_, '_>) {
    bencher.bench(|| find(black_box("openai"), black_box("no-such-model")));
}

#[divan::bench]
fn find_miss_of_a_region(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        find(
            black_box("bedrock"),
            black_box("eu.anthropic.no-such-model"),
        )
    });
}

#[divan::bench]
fn prices(bencher: Bencher<'_, '_>) {
    let model = get("gpt-5.4").expect("is in the table");
    bencher.bench(|| black_box(model).prices());
}

#[divan::bench]
fn capabilities(bencher: Bencher<'_, '_>) {
    let model = get("gpt-5.4").expect("is in the table");
    bencher.bench(|| black_box(model).capabilities());
}

#[divan::bench]
fn estimate_10_kb(bencher: Bencher<'_, '_>) {
    let text = "The quick brown fox jumps over 13 lazy dogs; they don't mind.\n".repeat(166);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| tokens::estimate(black_box(&text)));
}
