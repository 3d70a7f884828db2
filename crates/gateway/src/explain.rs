//! `ziggurat explain`.

mod attempt;
mod client;
mod describe;
mod fault;
mod leaf;
mod replay;
mod story;

use ziggurat::Router;

use crate::{
    cli::Explain,
    stack::{load, print_warnings},
};

pub(crate) use self::describe::Description;

pub(crate) fn run(args: &Explain) -> Result<(), String> {
    let plan = load(&args.file)?;
    print_warnings(&plan);
    Router::check(&plan).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let story = replay::replay(&plan, args)?;
    match args.json {
        true => println!("{:#}", story.to_json()),
        false => print!("{story}"),
    }
    Ok(())
}
