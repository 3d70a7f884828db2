"""What a scenario claims, and whether it holds."""


class Claims:
    def __init__(self):
        self.failed, self.late = [], []

    def __call__(self, holds, what, timed=False):
        """One that is timed may fail for no other reason than that the machine stood still: see `tried`."""
        print(f"{'ok  ' if holds else 'LATE' if timed else 'FAIL'}  {what}", flush=True)
        if not holds:
            (self.late if timed else self.failed).append(what)

    def tried(self, scenario, tries):
        """Runs a scenario, and again if nothing failed in it but what is timed. What fails each time is at fault."""
        for left in reversed(range(tries)):
            self.late.clear()
            scenario()
            if not self.late or self.failed:
                break
            if left:
                print("      it may be the machine that was late: once more", flush=True)
        self.failed += self.late


claim = Claims()
