//! Stacks that must not compile; see `tests/order.rs`. A package of its own, with few dependencies,
//! because each of them is built once more for these tests.
