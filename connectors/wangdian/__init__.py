"""旺店通 Wangdiantong in three editions: two signatures, order and refund pushes, polled queries, work queues."""
