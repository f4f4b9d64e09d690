//! Many at once: runs a second with 1 to 32 in flight.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use super::{BWRAP, has_bwrap, run, runner, spawn};

const IN_FLIGHT: &[usize] = &[1, 2, 4, 8, 16, 32];

/// Prints the table.
///
/// # Errors
/// When a command that is measured fails.
pub(super) fn measure(runs: usize, workspace: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let sandbox = Arc::new(runner(false)?);
    let peer = has_bwrap();
    let total = runs.max(100) * 2;
    println!("\nruns a second, {total} runs each");
    println!("  in flight      plain    library   of plain      bwrap   library / bwrap");
    for &width in IN_FLIGHT {
        let plain = by_threads(&["/bin/true"], width, total)?;
        let library = runtime.block_on(by_tasks(&sandbox, workspace, width, total))?;
        let bwrap = if peer { Some(by_threads(BWRAP, width, total / 2)?) } else { None };
        let bwrap = bwrap
            .map_or_else(String::new, |bwrap| format!("{bwrap:10.0} {:17.2}", library / bwrap));
        println!("  {width:9} {plain:10.0} {library:10.0} {:10.2} {bwrap}", library / plain);
    }
    Ok(())
}

fn by_threads(words: &[&str], width: usize, total: usize) -> Result<f64, String> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || -> Result<(), String> {
        while next.fetch_add(1, Ordering::Relaxed) < total {
            spawn(words)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("because a worker does not panic"))
    })?;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

async fn by_tasks(
    runner: &Arc<ringfence::Runner>,
    workspace: &Path,
    width: usize,
    total: usize,
) -> Result<f64, String> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..width {
        let (next, runner, workspace) =
            (Arc::clone(&next), Arc::clone(runner), workspace.to_path_buf());
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < total {
                run(&runner, &workspace).await?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok(total as f64 / start.elapsed().as_secs_f64())
}
