"""Makes the files of web/ as they are sent: `python -m api.make_assets web` writes them pickled, for `api.web_files`.

A process of its own because the parser, its trees and the packer hold megabytes that nobody needs afterwards.
"""

import pickle
import sys
from pathlib import Path

from api.assets import read
from api.short_names import shortened

if __name__ == "__main__":
    pickle.dump(read(Path(sys.argv[1]), shortened), sys.stdout.buffer)
