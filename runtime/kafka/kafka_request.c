#include "kafka/kafka_int.h"

void kafka_request_begin(struct kafka_request *request, rd_kafka_t *rk, rd_kafka_admin_op_t kind, int timeout_ms)
{
    char text[KAFKA_TEXT_SIZE];
    request->queue = rd_kafka_queue_new(rk);
    request->options = rd_kafka_AdminOptions_new(rk, kind);
    request->event = NULL;
    request->timeout_ms = timeout_ms;
    rd_kafka_AdminOptions_set_request_timeout(request->options, timeout_ms, text, sizeof text);
}

int kafka_request_wait(struct kafka_request *request, struct err *err, const char *what, const char *name)
{
    /* The library answers by its own timeout; the one given here is only for the case that it does not. */
    request->event = rd_kafka_queue_poll(request->queue, request->timeout_ms + 5000);
    rd_kafka_resp_err_t code =
        request->event != NULL ? rd_kafka_event_error(request->event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    const char *reason = request->event != NULL ? rd_kafka_event_error_string(request->event) : NULL;
    return kafka_error_set(err, kafka_error_transient(code) ? ERR_RETRY : ERR_FATAL, code, reason, "%s %s failed", what,
                           name);
}

void kafka_request_end(struct kafka_request *request)
{
    if (request->event != NULL) {
        rd_kafka_event_destroy(request->event);
    }
    rd_kafka_AdminOptions_destroy(request->options);
    rd_kafka_queue_destroy(request->queue);
}
