"""The 48 network policy tests of Kubernetes' e2e suite: what they do, and who may reach whom then.

The expectations are written down from what the tests assert (see `table`), not computed.
"""

from __future__ import annotations

from functools import partial

from tests.system.policies.steps import (
    ALL_PODS,
    DENY_ALL,
    DENY_EGRESS,
    DENY_INGRESS,
    NOT_X,
    NS_Y,
    POD_A,
    POD_B,
    YA,
    Apply,
    Delete,
    Label,
    case,
    egress,
    expect,
    ingress,
)

in_x = partial(Apply, "x")
NOBODY_INTO_XA = "x/a <-"
UDP, SCTP = partial(expect, protocol="udp"), partial(expect, protocol="sctp")

CASES = (
    case(1, "should support a 'default-deny-ingress' policy", in_x("p", DENY_INGRESS), expect("x/* <-")),
    case(2, "should support a 'default-deny-all' policy", in_x("p", DENY_ALL), expect("x/* <-", "x/* ->")),
    case(
        3,
        "should enforce policy to allow traffic from pods within server namespace based on PodSelector",
        in_x("p", ingress(POD_B)),
        expect("x/a <- x/b"),
    ),
    case(
        4,
        "should enforce policy to allow ingress traffic for a target",
        in_x("deny", DENY_INGRESS),
        in_x("p", ingress("{namespaceSelector: {}, podSelector: {}}")),
        expect("x/[bc] <-"),
    ),
    case(
        5,
        "should enforce policy to allow ingress traffic from pods in all namespaces",
        in_x("p", ingress("{namespaceSelector: {}}")),
        expect(),
    ),
    case(
        6,
        "should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector",
        in_x("p", ingress(NS_Y)),
        expect("x/a <- y/*"),
    ),
    case(
        7,
        "should enforce policy based on PodSelector with MatchExpressions",
        in_x("p", ingress("{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b]}]}}")),
        expect("x/a <- x/b"),
    ),
    case(
        8,
        "should enforce policy based on NamespaceSelector with MatchExpressions",
        in_x("p", ingress("{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [y]}]}}")),
        expect("x/a <- y/*"),
    ),
    case(
        9,
        "should enforce policy based on PodSelector or NamespaceSelector",
        in_x("p", ingress(f"{{{NOT_X}}}", POD_B)),
        expect("x/a <- y/* z/* x/b"),
    ),
    case(
        10,
        "should enforce policy based on PodSelector and NamespaceSelector",
        in_x("p", ingress(f"{{{NOT_X}, podSelector: {{matchLabels: {{pod: b}}}}}}")),
        expect("x/a <- y/b z/b"),
    ),
    case(
        11,
        "should enforce policy based on Multiple PodSelectors and NamespaceSelectors",
        in_x(
            "p",
            ingress(
                f"{{{NOT_X}, podSelector: "
                "{matchExpressions: [{key: pod, operator: In, values: [b, c]}]}}"
            ),
        ),
        expect("x/a <- y/b y/c z/b z/c"),
    ),
    case(
        12,
        "should enforce policy based on any PodSelectors",
        in_x("p", ingress(POD_B, "{podSelector: {matchLabels: {pod: c}}}")),
        expect("x/a <- x/b x/c"),
    ),
    case(
        13,
        "should enforce policy to allow traffic only from a pod in a different namespace based on "
        "PodSelector and NamespaceSelector",
        in_x("p", ingress(YA)),
        expect("x/a <- y/a"),
    ),
    case(
        14,
        "should enforce policy based on Ports",
        in_x("p", ingress(NS_Y, ports="{port: 81}")),
        expect("x/a:81 <- y/*", "x/a:80 <-"),
    ),
    case(
        15,
        "should enforce multiple, stacked policies with overlapping podSelectors",
        in_x("p81", ingress(NS_Y, ports="{port: 81}")),
        expect("x/a:81 <- y/*", "x/a:80 <-"),
        in_x("p80", ingress(NS_Y, ports="{port: 80}")),
        expect("x/a <- y/*"),
    ),
    case(16, "should support allow-all policy", in_x("p", ingress(pods=ALL_PODS)), expect()),
    case(
        17,
        "should allow ingress access on one named port",
        in_x("p", ingress(ports="{port: serve-81-tcp}", pods=ALL_PODS)),
        expect("x/*:80 <-"),
    ),
    case(
        18,
        "should allow ingress access from namespace on one named port",
        in_x("p", ingress(NS_Y, ports="{port: serve-80-tcp}")),
        expect("x/a:80 <- y/*", "x/a:81 <-"),
    ),
    case(
        19,
        "should allow egress access on one named port",
        in_x("p", egress(ports="{port: serve-80-tcp}")),
        expect("x/a:81 ->"),
    ),
    case(
        20,
        "should enforce updated policy",
        in_x("p", ingress(pods=ALL_PODS)),
        expect(),
        in_x("p", DENY_INGRESS),
        expect("x/* <-"),
    ),
    case(
        21,
        "should allow ingress access from updated namespace",
        in_x("p", ingress("{namespaceSelector: {matchLabels: {ns2: updated}}}")),
        expect(NOBODY_INTO_XA),
        Label("y", {"ns2": "updated"}),
        expect("x/a <- y/*"),
    ),
    case(
        22,
        "should allow ingress access from updated pod",
        in_x("p", ingress("{podSelector: {matchLabels: {pod: b, pod2: updated}}}")),
        expect(NOBODY_INTO_XA),
        Label("x/b", {"pod2": "updated"}),
        expect("x/a <- x/b"),
    ),
    case(
        23,
        "should deny ingress from pods on other namespaces",
        in_x("p", ingress("{podSelector: {}}", pods=ALL_PODS)),
        expect("x/* <- x/*"),
    ),
    case(
        24,
        "should deny ingress access to updated pod",
        in_x("p", "podSelector: {matchLabels: {target: isolated}}, policyTypes: [Ingress]"),
        expect(),
        Label("x/a", {"target": "isolated"}),
        expect(NOBODY_INTO_XA),
    ),
    case(
        25,
        "should deny egress from pods based on PodSelector",
        in_x("p", f"{POD_A}, policyTypes: [Egress]"),
        expect("x/a ->"),
    ),
    case(26, "should deny egress from all pods in a namespace", in_x("p", DENY_EGRESS), expect("x/* ->")),
    case(
        27,
        "should work with Ingress, Egress specified together",
        in_x(
            "p",
            f"{POD_A}, policyTypes: [Ingress, Egress], ingress: [{{from: [{POD_B}]}}], "
            "egress: [{ports: [{port: 80}]}]",
        ),
        expect("x/a <- x/b", "x/a:81 ->"),
    ),
    case(
        28,
        "should support denying of egress traffic on the client side (even if the server explicitly allows "
        "this traffic)",
        in_x("out", egress(YA)),
        Apply(
            "y",
            "in",
            ingress(
                "{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}",
                pods="podSelector: {matchExpressions: [{key: pod, operator: In, values: [a, b]}]}",
            ),
        ),
        expect("x/a -> y/a", "y/[ab] <- x/a"),
    ),
    case(
        29,
        "should enforce egress policy allowing traffic to a server in a different namespace based on "
        "PodSelector and NamespaceSelector",
        in_x("p", egress(YA)),
        expect("x/a -> y/a"),
    ),
    case(
        30,
        "should enforce ingress policy allowing any port traffic to a server on a specific protocol",
        in_x("p", ingress(ports="{protocol: TCP}")),
        expect(),
        UDP(NOBODY_INTO_XA),
    ),
    case(
        31,
        "should enforce multiple ingress policies with ingress allow-all policy taking precedence",
        in_x("some", ingress(ports="{port: 80}", pods=ALL_PODS)),
        expect("x/*:81 <-"),
        in_x("all", ingress(pods=ALL_PODS)),
        expect(),
    ),
    case(
        32,
        "should enforce multiple egress policies with egress allow-all policy taking precedence",
        in_x("some", egress(ports="{port: 80}", pods=ALL_PODS)),
        expect("x/*:81 ->"),
        in_x("all", egress(pods=ALL_PODS)),
        expect(),
    ),
    case(
        33,
        "should stop enforcing policies after they are deleted",
        in_x("p", DENY_ALL),
        expect("x/* <-", "x/* ->"),
        Delete("x", "p"),
        expect(),
    ),
    case(
        34,
        "should allow egress access to server in CIDR block",
        in_x("p", egress("{ipBlock: {cidr: $yb4/32}}", "{ipBlock: {cidr: '$yb6/128'}}")),
        expect("x/a -> y/b"),
    ),
    case(
        35,
        "should enforce except clause while egress access to server in CIDR block",
        in_x(
            "p",
            egress(
                "{ipBlock: {cidr: 10.244.0.0/16, except: [$xb4/32]}}",
                "{ipBlock: {cidr: 'fd00:10:244::/48', except: ['$xb6/128']}}",
            ),
        ),
        expect("x/a -> x/c y/* z/*"),
    ),
    case(
        36,
        "should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
        in_x(
            "p",
            egress(
                "{ipBlock: {cidr: 10.244.0.0/16, except: [$xb4/32]}}",
                "{ipBlock: {cidr: 'fd00:10:244::/48', except: ['$xb6/128']}}",
            ),
        ),
        expect("x/a -> x/c y/* z/*"),
        in_x("p", egress("{ipBlock: {cidr: $xb4/32}}", "{ipBlock: {cidr: '$xb6/128'}}")),
        expect("x/a -> x/b"),
    ),
    case(
        37,
        "should enforce policies to check ingress and egress policies can be controlled independently based "
        "on PodSelector",
        in_x("out", egress()),
        expect(),
        in_x("in", f"{POD_A}, policyTypes: [Ingress]"),
        expect(NOBODY_INTO_XA),
    ),
    case(
        38,
        "should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support "
        "SCTP",
        in_x("deny", DENY_INGRESS),
        in_x("p", ingress(ports="{protocol: SCTP, port: 81}")),
        expect("x/* <-"),
    ),
    case(
        39,
        "should properly isolate pods that are selected by a policy allowing SCTP, even if the plugin "
        "doesn't support SCTP",
        in_x("p", ingress(ports="{protocol: SCTP, port: 80}")),
        expect(NOBODY_INTO_XA),
    ),
    case(
        40,
        "should not allow access by TCP when a policy specifies only UDP",
        in_x("p", ingress(ports="{protocol: UDP, port: 81}")),
        expect(NOBODY_INTO_XA),
        UDP("x/a:80 <-"),
    ),
    case(
        41,
        "should enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns "
        "label",
        in_x("p", ingress("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}")),
        expect("x/a <- y/*"),
    ),
    case(
        42,
        "should enforce policy based on NamespaceSelector with MatchExpressions using default ns label",
        in_x(
            "p",
            egress(
                "{namespaceSelector: {matchExpressions: "
                "[{key: kubernetes.io/metadata.name, operator: NotIn, values: [y]}]}}"
            ),
        ),
        expect("x/a -> x/* z/*"),
    ),
    case(43, "UDP should support a 'default-deny-ingress' policy", in_x("p", DENY_INGRESS), UDP("x/* <-")),
    case(
        44,
        "UDP should enforce policy based on Ports",
        in_x("p", ingress(NS_Y, ports="{protocol: UDP, port: 81}")),
        UDP("x/a:81 <- y/*", "x/a:80 <-"),
    ),
    case(
        45,
        "UDP should enforce policy to allow traffic only from a pod in a different namespace based on "
        "PodSelector and NamespaceSelector",
        in_x("p", ingress(YA, ports="{protocol: UDP, port: 80}")),
        UDP("x/a:80 <- y/a", "x/a:81 <-"),
    ),
    case(46, "SCTP should support a 'default-deny-ingress' policy", in_x("p", DENY_INGRESS), SCTP("x/* <-")),
    case(
        47,
        "SCTP should enforce policy based on Ports",
        in_x("p", ingress(NS_Y, ports="{protocol: SCTP, port: 81}")),
        SCTP("x/a:81 <- y/*", "x/a:80 <-"),
    ),
    case(
        48,
        "SCTP should enforce policy to allow traffic only from a pod in a different namespace based on "
        "PodSelector and NamespaceSelector",
        in_x("p", ingress(YA, ports="{protocol: SCTP, port: 80}")),
        SCTP("x/a:80 <- y/a", "x/a:81 <-"),
    ),
)
