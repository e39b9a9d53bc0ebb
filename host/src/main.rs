//! The binary: [`betrace::cli`] from arguments to exit code.

fn main() -> std::process::ExitCode {
    betrace::cli::main()
}
