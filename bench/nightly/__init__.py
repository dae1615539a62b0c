"""What happens to records after they are made: a night's measurements judged against history, one record run again."""
