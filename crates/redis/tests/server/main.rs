//! Against real servers.

mod cache;
mod clusters;
mod leases;
mod outages;
mod parts;
mod rig;
mod scripts;
mod secrets;
mod semantic;
mod servers;
mod shared;
mod usage;
