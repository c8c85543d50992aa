"""`python -m workers`: a worker with the settings of its environment."""

import os
import sys

from core.settings import Settings
from workers.beside import end_with_parent
from workers.run import run_worker

if __name__ == "__main__":
    end_with_parent(sys.argv[1:])
    run_worker(Settings.from_environment(os.environ))
