"""The commands of ``shuniu``, one file per subject; heavy parts are imported only by the command that needs them."""
