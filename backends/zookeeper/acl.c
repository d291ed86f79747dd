/* Who may touch what we create. */
#include "zk.h"

/* The creator does everything, others read. The client's vectors are not const; nobody writes to these. */
static const struct ACL shared_list[] = {{0x1f, {(char *)"auth", (char *)""}},
                                         {0x01, {(char *)"world", (char *)"anyone"}}};
static const struct ACL_vector shared_acl = {2, (struct ACL *)shared_list};

int zk_acl_read(const char *text, bool with_digest, const struct ACL_vector **ret_acl, mw_error *err) {
    if (!text)
        text = with_digest ? "private" : "open";
    if (strcmp(text, "open") == 0)
        *ret_acl = &ZOO_OPEN_ACL_UNSAFE;
    else if (!with_digest)
        return zk_fail(err, MW_EINVALID, "zookeeper: option acl: '%s' needs an identity; set digest or digest_file",
                       text);
    else if (strcmp(text, "private") == 0)
        *ret_acl = &ZOO_CREATOR_ALL_ACL;
    else if (strcmp(text, "read") == 0)
        *ret_acl = &shared_acl;
    else
        return zk_fail(err, MW_EINVALID, "zookeeper: option acl: '%s' is none of private, read, open", text);
    return MW_OK;
}
