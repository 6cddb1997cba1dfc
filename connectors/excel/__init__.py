"""表格 Excel and CSV files: rows in from a folder, a share or an upload, rows out into workbooks."""
