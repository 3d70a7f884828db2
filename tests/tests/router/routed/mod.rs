//! Routing as a client of the gateway sees it, and what the providers see of it.

mod auto;
mod choice;
mod clients;
mod filters;
mod hostile;
mod sessions;
mod support;
mod told;
