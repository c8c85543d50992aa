"""`python -m workers`: a worker with the settings of its environment."""

import os

from core.settings import Settings
from workers.run import run_worker

if __name__ == "__main__":
    run_worker(Settings.from_environment(os.environ))
