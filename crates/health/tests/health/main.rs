//! What checks find out and what follows, with the time paused.

mod checks;
mod driver;
mod routing;
mod sharing;
mod world;
