"""Sound objects of every stored kind, rich in fields."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from emulator.api.documents import read_all
from emulator.api.objects import JsonObject

TEXT = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Node
metadata: {name: worker-1, labels: {topology.kubernetes.io/zone: a}}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24], taints: [{key: edge, effect: NoSchedule}]}
---
apiVersion: v1
kind: Pod
metadata: {name: full, namespace: shop, labels: {app: full}, annotations: {Example.com/Note: "any: text"}}
spec:
  hostname: full
  subdomain: inner
  nodeSelector: {disk: ssd}
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 5
  dnsPolicy: None
  dnsConfig:
    {nameservers: [10.96.0.10], searches: [shop.svc.cluster.local], options: [{name: ndots, value: "2"}]}
  hostAliases: [{ip: 10.1.2.3, hostnames: [foo.local, bar]}]
  tolerations:
  - {operator: Exists}
  - {key: edge, operator: Equal, value: "yes", effect: NoExecute, tolerationSeconds: 30}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm: {labelSelector: {matchLabels: {app: full}}, topologyKey: kubernetes.io/hostname}
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: zone
    whenUnsatisfiable: DoNotSchedule
    labelSelector: {matchLabels: {app: full}}
  initContainers:
  - {name: init, image: busybox, command: [sh, -c, "true"]}
  - {name: sidecar, image: busybox, restartPolicy: Always, readinessProbe: {exec: {command: ["true"]}}}
  containers:
  - name: web
    image: registry.example.com:5000/nginx:1.25
    command: [nginx]
    args: ["-g", "daemon off;"]
    ports:
    - {name: http, containerPort: 80}
    - {name: dns-udp, containerPort: 53, protocol: UDP, hostPort: 5353, hostIP: 127.0.0.1}
    env:
    - {name: PLAIN, value: "1"}
    - {name: EMPTY}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: FROM_MAP, valueFrom: {configMapKeyRef: {name: settings, key: a.properties, optional: true}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    envFrom: [{configMapRef: {name: settings}}, {prefix: S_, secretRef: {name: keys}}]
    resources: {limits: {cpu: "1", memory: 128Mi}, requests: {cpu: 100m, memory: 64Mi}}
    volumeMounts: [{name: data, mountPath: /data}, {name: settings, mountPath: /etc/app, readOnly: true}]
    livenessProbe: {tcpSocket: {port: http}, periodSeconds: 3}
    readinessProbe: {httpGet: {path: /healthz, port: 80, scheme: HTTP, httpHeaders: [{name: X, value: z}]}}
    startupProbe: {grpc: {port: 9000}, failureThreshold: 30}
    lifecycle: {preStop: {exec: {command: [sleep, "1"]}}}
    securityContext: {runAsUser: 1000, capabilities: {add: [NET_BIND_SERVICE]}}
  volumes:
  - {name: data, emptyDir: {sizeLimit: 1Gi}}
  - {name: settings, configMap: {name: settings, items: [{key: a, path: b/c}], defaultMode: 0444}}
  - {name: bare}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  type: LoadBalancer
  selector: {app: db}
  ports:
  - {name: sql, port: 5432, targetPort: sql, nodePort: 30432}
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  loadBalancerSourceRanges: [198.51.100.0/24]
  ipFamilyPolicy: PreferDualStack
  ipFamilies: [IPv4, IPv6]
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, publishNotReadyAddresses: true}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: db.example.com}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside-ip, namespace: shop}
subsets: [{addresses: [{ip: 198.51.100.80}], ports: [{port: 80}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside-ip-1, namespace: shop, labels: {kubernetes.io/service-name: outside-ip}}
addressType: IPv6
endpoints: [{addresses: ["2001:db8::1"], conditions: {ready: true}, nodeName: worker-1, zone: a}]
ports: [{name: "", port: 80, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: more}
spec: {cidrs: [10.97.0.0/24, "fd00:10:97::/112"]}
---
apiVersion: networking.k8s.io/v1
kind: IPAddress
metadata: {name: "fd00:10:96::5"}
spec: {parentRef: {group: "", resource: services, namespace: shop, name: db}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {a.properties: "x=1", UPPER_CASE: "", "80": eighty}
binaryData: {blob: aGVsbG8=}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData: {password: hunter2}
data: {token: c2VjcmV0}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: shop}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
    matchExpressions: [{key: tier, operator: NotIn, values: [back]}]
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, namespace: shop}
spec:
  selector: {matchLabels: {app: rs}}
  template: {metadata: {labels: {app: rs}}, spec: {containers: [{name: rs, image: nginx@sha256:0}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: headless
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: postgres, volumeMounts: [{name: data, mountPath: /var/lib}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {type: OnDelete}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      containers: [{name: agent, image: agent, ports: [{containerPort: 9100}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  completions: 2
  completionMode: Indexed
  template: {spec: {restartPolicy: Never, containers: [{name: once, image: busybox, command: ["true"]}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
      namespaceSelector: {}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports: [{port: 5432}, {port: sql}, {port: 8000, endPort: 8010, protocol: UDP}, {protocol: SCTP}]
  egress: [{}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: fence}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {tenant: a}}}
  ingress:
  - name: tenants
    action: Deny
    from:
    - {pods: {podSelector: {matchLabels: {app: web}}, namespaceSelector: {}}}
    - {namespaces: {matchExpressions: [{key: tenant, operator: NotIn, values: [a]}]}}
    protocols: [{tcp: {destinationPort: {number: 80}}}, {destinationNamedPort: http}]
  egress:
  - {action: Pass, to: [{namespaces: {}}]}
  - action: Accept
    to: [{networks: [192.0.2.0/24, "2001:db8::/32"]}, {nodes: {}}]
    protocols: [{sctp: {destinationPort: {range: {start: 9000, end: 9010}}}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: fence}
spec:
  priority: 10
  subject: {namespaces: {matchLabels: {tenant: a}}}
  ingress:
  - name: tenants
    action: Deny
    from:
    - {pods: {podSelector: {matchLabels: {app: web}}, namespaceSelector: {}}}
    - {namespaces: {matchExpressions: [{key: tenant, operator: NotIn, values: [a]}]}}
    ports: [{portNumber: {protocol: TCP, port: 80}}, {namedPort: http}]
  egress:
  - {action: Pass, to: [{namespaces: {}}]}
  - action: Allow
    to: [{networks: [192.0.2.0/24, "2001:db8::/32"]}, {nodes: {}}]
    ports: [{portRange: {protocol: SCTP, start: 9000, end: 9010}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {pods: {podSelector: {}, namespaceSelector: {}}}
  ingress:
  - {action: Allow, from: [{namespaces: {}}], ports: [{portRange: {protocol: UDP, start: 53, end: 54}}]}
  - {action: Deny, from: [{namespaces: {}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop}
spec:
  ingressClassName: proxy
  defaultBackend: {service: {name: web, port: {name: http}}}
  tls: [{hosts: [shop.example.com], secretName: tls}]
  rules:
  - host: "*.example.com"
    http:
      paths:
      - {path: /a, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {pathType: ImplementationSpecific, backend: {resource: {kind: Bucket, name: b, apiGroup: acme.io}}}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: proxy}
spec: {controller: mininetes.io/proxy}
"""


def samples() -> list[JsonObject]:
    """Fresh copies of all of them."""
    return [document.value for document in read_all(TEXT)]


def sample(kind: str, name: str = "") -> JsonObject:
    """The first one of a kind (of this name)."""
    for obj in samples():
        if obj["kind"] == kind and name in ("", obj["metadata"]["name"]):
            return obj
    raise KeyError(kind, name)


def with_spec(obj: JsonObject, path: str, value: Any) -> JsonObject:
    """`obj` with another value at `spec/...`; None takes it away."""
    found = deepcopy(obj)
    *way, last = [int(word) if word.isdigit() else word for word in path.split("/")]
    at: Any = found["spec"]
    for step in way:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return found
