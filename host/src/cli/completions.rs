//! `betrace completions`: a script with which a shell completes commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::{Failure, Outcome, print};

#[derive(Debug, Args)]
#[command(after_help = "\
Install, for the shell that you use:
  bash        betrace completions bash > ~/.local/share/bash-completion/completions/betrace
  zsh         betrace completions zsh > \"${fpath[1]}/_betrace\"
  fish        betrace completions fish > ~/.config/fish/completions/betrace.fish
  elvish      betrace completions elvish >> ~/.config/elvish/rc.elv
  powershell  betrace completions powershell >> $PROFILE

Shells started from then on complete `betrace`. Bash needs its package bash-completion.")]
pub struct CompletionsArgs {
    /// The shell that is to read it
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "betrace",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Quiet)
}
